package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/chain/store"
	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// Config is what a coordinator needs. All fields but Data are required.
type Config struct {
	Params *chain.Params
	// Name is one token of a subject, unique on the network (protocol.CheckName).
	Name string
	// Chain is kept by this coordinator from now on; Store is the chain's, and
	// holds the coordinator's own records too. The caller closes both after Run.
	Chain *chain.Chain
	Store *store.Store
	// JobsDir holds the last jobs, made where it is missing.
	JobsDir string
	// Conn was made with protocol.ConnectOptions. It may not be connected yet. The
	// coordinator sets its handlers; the caller closes it after Run.
	Conn *nats.Conn
	// Key signs jobs and verdicts.
	Key nkeys.KeyPair
	// PayScript is the output script that blocks pay to.
	PayScript []byte
	// Data is a text for the coinbase of every block.
	Data string
	// Version is the program's, for people.
	Version string
	Log     *slog.Logger
	// Clock, if not nil, tells the time instead of [time.Now]: by it blocks are made
	// and judged.
	Clock func() time.Time
	// Refuse, if not nil, has the NATS server refuse a worker until then, or with
	// Access a machine: it sent too much that is bad, and is not listened to either.
	Refuse func(name string, until time.Time)
	// Unlimited answers everybody, however much is asked and however bad it is: for
	// measurements that play a farm with a few connections.
	Unlimited bool
	// Access, if not nil, lets machines join.
	Access *Access
	// Node, if not nil, makes the coordinator a node of a mesh.
	Node *NodeConfig
	// Machines says that the server ties the names of processes to machines, as that
	// of another coordinator does where machines join; with Access it is so anyway.
	Machines bool
}

// Coordinator keeps a chain and leases its work out. Make one with [New].
type Coordinator struct {
	cfg       Config
	log       *slog.Logger
	subjects  protocol.Subjects
	publicKey string
	signer    *protocol.Signer
	others    *others
	node      *meshSelf // nil where it is in no mesh
	ready     chan struct{}
	wake      chan struct{} // the schedule changed: look at the clock again

	mu     sync.Mutex // guards what follows, and the order of accepting and announcing
	farm   *farm
	limits *limits
	guests *guests
	pace   pace
	races  races
	behind bool // others have a chain that is much longer, which is being fetched
	// announced is the last tip that was taken from others and told to all.
	announced hashing.Hash
	waiting   sync.WaitGroup // solutions whose write is not synced yet
}

// New checks cfg. It starts nothing.
func New(cfg Config) (*Coordinator, error) {
	if cfg.Params == nil || cfg.Chain == nil || cfg.Store == nil || cfg.Conn == nil || cfg.Key == nil || cfg.Log == nil {
		return nil, errors.New("coordinator: network, chain, store, connection, key or log missing")
	}
	if cfg.JobsDir == "" || len(cfg.PayScript) == 0 {
		return nil, errors.New("coordinator: directory for jobs or script to pay to missing")
	}
	if len(cfg.PayScript) > protocol.MaxPayScript {
		return nil, fmt.Errorf("coordinator: script to pay to of %d bytes, at most %d", len(cfg.PayScript), protocol.MaxPayScript)
	}
	if err := protocol.CheckName(cfg.Name); err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	publicKey, err := cfg.Key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("coordinator key: %w", err)
	}
	signer, err := protocol.NewSigner(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("coordinator: %w", err)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	each := ofProcess
	if cfg.Machines = cfg.Machines || cfg.Access != nil; cfg.Machines {
		each = ofMachine
	}
	var node *meshSelf
	if cfg.Node != nil {
		if node, err = newMeshSelf(&cfg, publicKey); err != nil {
			return nil, fmt.Errorf("coordinator: %w", err)
		}
	}
	return &Coordinator{
		cfg: cfg, log: cfg.Log, publicKey: publicKey, signer: signer, node: node,
		subjects: protocol.NewSubjects(cfg.Params.ID()),
		limits:   newLimits(each),
		guests:   newGuests(),
		others:   newOthers(cfg.Name),
		ready:    make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}, nil
}

// Ready is closed when the coordinator serves.
func (c *Coordinator) Ready() <-chan struct{} { return c.ready }

// PublicKey returns the nkey that workers pin.
func (c *Coordinator) PublicKey() string { return c.publicKey }

// Network returns the id of the network whose chain this is.
func (c *Coordinator) Network() string { return c.cfg.Params.ID() }

// Run serves until ctx ends, and returns nil then; otherwise it returns why it
// can't go on: the store failed, or the name is taken. When it returns, all it
// started has ended, and every block that it acknowledged is on the disk.
func (c *Coordinator) Run(ctx context.Context) error {
	if err := c.begin(c.cfg.Clock()); err != nil {
		return err
	}
	if err := c.beginNode(time.Now()); err != nil {
		return err
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	subs, err := c.subscribe()
	if err != nil {
		return err
	}
	defer subs.close()
	if c.cfg.Conn.IsConnected() {
		_ = c.cfg.Conn.FlushTimeout(flushTime) // until then nobody is heard; an error is the connection's, which tries on
	}
	c.watchConnection()
	c.mu.Lock()
	c.republish() // the hold of begin, if any: workers hear of the new epoch
	c.mu.Unlock()

	var tasks sync.WaitGroup
	for _, task := range []func(context.Context) error{
		c.keepTime, c.watchStore, c.watchLink, c.advertise, c.tendCerts, c.lookAround, c.synchronise, c.exchange,
		func(ctx context.Context) error { return c.serve(ctx, subs.blocks, maxAnnounced, c.hearBlock) },
		func(ctx context.Context) error { return c.serveWorkers(ctx, subs.asks, maxAsk, c.answerAsk) },
		func(ctx context.Context) error { return c.serve(ctx, subs.gets, maxGet, c.answerGet) },
		func(ctx context.Context) error { return c.serveWorkers(ctx, subs.solved, maxSolved, c.hearSolved) },
		func(ctx context.Context) error { return c.serveSync(ctx, subs.syncs) },
		func(ctx context.Context) error { return c.serve(ctx, subs.enrols, maxAdmit, c.answerEnrol) },
		func(ctx context.Context) error { return c.serve(ctx, subs.admins, maxAdmit, c.answerAdmin) },
	} {
		tasks.Go(func() {
			if err := task(running); err != nil {
				stop(err)
			}
		})
	}
	close(c.ready)
	tasks.Wait()
	c.waiting.Wait()
	if ctx.Err() != nil && errors.Is(context.Cause(running), context.Cause(ctx)) {
		return nil
	}
	return context.Cause(running)
}

// flushTime is how long the server may take to hear what is subscribed to.
const flushTime = 2 * time.Second

// begin opens a new epoch and brings back the jobs that can still be solved.
func (c *Coordinator) begin(now time.Time) error {
	epoch, err := nextEpoch(c.cfg.Store)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.farm = newFarm(c.cfg.Name, c.cfg.Params, epoch, c.owner)
	if c.farm.jobs.kept, err = restoreJobs(c.cfg.JobsDir); err != nil {
		return err
	}
	if c.farm.jobs.On(c.cfg.Chain.Tip().Hash) {
		// Workers may bring a solution of one of those jobs, found while nobody was
		// here to take it. It gets a moment's start over any new job.
		c.farm.Hold(now, c.cfg.Chain.Tip().Hash, now.Add(settleTime), "waiting for solutions found before the restart")
	}
	return nil
}

// settleTime is how long workers take to reconnect and to bring what they found
// while their coordinator was away.
const settleTime = 800 * time.Millisecond

// tickTime is how late a lease may be noticed to have run out.
const tickTime = 100 * time.Millisecond

// keepTime makes jobs when the clock asks for one, and lets leases and slots run
// out.
func (c *Coordinator) keepTime(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-c.wake:
		}
		next, err := c.tick(c.cfg.Clock())
		if err != nil {
			return err
		}
		timer.Reset(min(next.Sub(c.cfg.Clock()), tickTime))
	}
}

// tick does what is due by now and returns when the next job is.
func (c *Coordinator) tick(now time.Time) (next time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, silent := c.farm.Tick(now)
	for _, s := range silent {
		c.log.Info("worker gone", "worker", s.worker.Name, "slot", s.number, "silent", now.Sub(s.heard).Round(time.Second))
	}
	if !c.farm.IsDue(now) {
		return c.farm.Due(), nil
	}
	err = c.advance(now)
	return c.farm.Due(), err
}

// advance makes an unsolved block on the tip the job of the moment, or publishes
// a hold while the clock does not allow one. The caller holds c.mu. An error
// means that the store failed.
func (c *Coordinator) advance(now time.Time) error {
	if c.behind {
		c.holdBehind(now)
		return nil
	}
	template, err := c.cfg.Chain.Template(now, chain.TemplateOptions{
		PayScript: c.cfg.PayScript, Miner: c.cfg.Name, Data: c.cfg.Data, Tag: randomTag(),
	})
	var hold *chain.Hold
	switch {
	case errors.As(err, &hold):
		c.publishHold(now, hold)
		c.noteMove(time.Now(), c.farm.hold.Prev)
		return nil
	case err != nil:
		return fmt.Errorf("template: %w", err)
	}
	started, dropped := c.farm.Start(now, template)
	if err := keepJob(c.cfg.JobsDir, started, dropped); err != nil {
		return err
	}
	c.publish(c.subjects.Job(c.cfg.Name), protocol.ToWorkers, &started.Job)
	defer c.noteMove(time.Now(), started.Prev) // as of now, and after what is urgent
	c.farm.Book(now, started)                  // who answers sooner waits for c.mu
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// clockAlarm is how long a hold must be to be blamed on a wrong clock.
const clockAlarm = 10 * time.Second

func (c *Coordinator) publishHold(now time.Time, hold *chain.Hold) {
	tip := c.cfg.Chain.Tip()
	wait := hold.Until.Sub(now)
	if wait > clockAlarm {
		c.log.Error("the chain's time is ahead of this machine's clock: no job until then",
			"ahead", wait.Round(time.Second), "clock", now.UTC().Format(time.RFC3339),
			"hint", "set the clock, for example with NTP")
	}
	if last := c.farm.hold; last != nil && last.Prev == tip.Hash && last.UntilMS == hold.Until.UnixMilli() {
		c.farm.holdDue = now.Add(wait) // the clock was set back meanwhile
		return
	}
	c.publish(c.subjects.Job(c.cfg.Name), protocol.ToWorkers, c.farm.Hold(now, tip.Hash, hold.Until, "the next block's time lies too far ahead"))
}

// watchStore ends the coordinator when its store can't be written any more.
func (c *Coordinator) watchStore(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-c.cfg.Store.Failed():
		return c.cfg.Store.Err()
	}
}
