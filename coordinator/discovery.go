package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/jbcnet/jbc/chain"
	"github.com/jbcnet/jbc/coordinator/protocol"
)

const (
	// discoveryRate is how often discovery is answered in a second, whoever asks.
	// Machines that joined do not ask; where nobody joins, a fleet of 10,000 that
	// comes at once and asks again every second is answered within 20 s.
	discoveryRate  = 500
	discoveryBurst = 2000
	// discoverySize is how many questions may wait.
	discoverySize = 1 << 12
	// pingTime is how long the answers to a discovery ping are waited for.
	pingTime = 300 * time.Millisecond
)

// discovery answers as NATS's own services do ($SRV.PING, $SRV.INFO, $SRV.STATS),
// but to inboxes alone, and not more often than it can afford: what those answer goes
// wherever the asker says that this coordinator may publish.
type discovery struct {
	identity    micro.ServiceIdentity
	description string
	started     time.Time
	answers     bucket
	moment      func() moment
}

// moment is what discovery tells of the coordinator at the time of the answer.
type moment struct {
	version string
	tip     chain.Tip
	workers int
	book    string // of nodes and machines, empty in no mesh
}

// moment returns what there is now.
func (c *Coordinator) moment() moment {
	m := moment{version: c.cfg.Version, tip: c.cfg.Chain.Tip(), book: c.bookText()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farm != nil { // it has begun
		m.workers = len(c.farm.roster.slots)
	}
	return m
}

func (c *Coordinator) newDiscovery(now time.Time) *discovery {
	id := nats.NewInbox()
	return &discovery{
		identity: micro.ServiceIdentity{
			Name: protocol.ServiceName, ID: id[strings.LastIndexByte(id, '.')+1:], Version: protocol.ServiceVersion,
			Metadata: map[string]string{
				protocol.MetaNetwork: c.cfg.Params.ID(),
				protocol.MetaName:    c.cfg.Name,
				protocol.MetaKey:     c.publicKey,
			},
		},
		description: "JBC coordinator " + c.cfg.Name,
		started:     now.UTC(),
		answers:     bucket{tokens: discoveryBurst},
		moment:      c.moment,
	}
}

// identityNow is the identity with the moment in its metadata.
func (d *discovery) identityNow() micro.ServiceIdentity {
	m, now := d.moment(), d.identity
	now.Metadata = maps.Clone(now.Metadata)
	now.Metadata[protocol.MetaVersion] = m.version
	now.Metadata[protocol.MetaHeight] = strconv.FormatUint(uint64(m.tip.Height), 10)
	now.Metadata[protocol.MetaTip] = m.tip.Hash.String()
	now.Metadata[protocol.MetaWork] = m.tip.Work.String()
	now.Metadata[protocol.MetaWorkers] = strconv.Itoa(m.workers)
	if m.book != "" {
		now.Metadata[protocol.MetaBook] = m.book
	}
	return now
}

// subjects are those of all questions: to every service, to those of its name, and
// to it alone.
func (d *discovery) subjects() (all []string) {
	for _, verb := range []micro.Verb{micro.PingVerb, micro.InfoVerb, micro.StatsVerb} {
		root := micro.APIPrefix + "." + verb.String()
		all = append(all, root, root+"."+d.identity.Name, root+"."+d.identity.Name+"."+d.identity.ID)
	}
	return all
}

// answer returns what a question on one of its subjects is answered, nil for nothing.
func (d *discovery) answer(now time.Time, subject, reply string) []byte {
	if !strings.HasPrefix(reply, nats.InboxPrefix) || !d.answers.take(now, discoveryRate, discoveryBurst) {
		return nil
	}
	var what any
	identity := d.identityNow()
	switch verb, _, _ := strings.Cut(strings.TrimPrefix(subject, micro.APIPrefix+"."), "."); verb {
	case micro.PingVerb.String():
		what = micro.Ping{ServiceIdentity: identity, Type: micro.PingResponseType}
	case micro.InfoVerb.String():
		what = micro.Info{
			ServiceIdentity: identity, Type: micro.InfoResponseType, Description: d.description, Endpoints: []micro.EndpointInfo{},
		}
	case micro.StatsVerb.String():
		what = micro.Stats{
			ServiceIdentity: identity, Type: micro.StatsResponseType, Started: d.started, Endpoints: []*micro.EndpointStats{},
		}
	}
	data, err := json.Marshal(what)
	if err != nil {
		panic("coordinator: " + err.Error()) // strings and times only
	}
	return data
}

// advertise answers discovery with who this coordinator is, as long as ctx
// lasts. It returns an error when another coordinator of the network has its
// name.
func (c *Coordinator) advertise(ctx context.Context) error {
	for {
		if err := c.waitConnected(ctx); err != nil {
			return nil
		}
		if err := c.checkName(ctx); err != nil {
			return err
		}
		err := c.answerDiscovery(ctx, c.newDiscovery(time.Now()))
		switch conn := c.cfg.Conn; {
		case err == nil, ctx.Err() != nil || conn.IsClosed(): // which watchLink reports
			return nil
		case conn.IsConnected():
			return fmt.Errorf("advertise: %w", err)
		}
	}
}

// answerDiscovery answers until ctx ends.
func (c *Coordinator) answerDiscovery(ctx context.Context, d *discovery) error {
	in := inboxes{}
	defer in.close()
	questions := make(chan *nats.Msg, discoverySize)
	for _, subject := range d.subjects() {
		sub, err := c.cfg.Conn.ChanSubscribe(subject, questions)
		if err != nil {
			return err
		}
		in.subs = append(in.subs, sub)
	}
	poke(c.others.look) // whoever is told of this coordinator now can ask it
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-questions:
			c.meetAsker(msg.Data)
			answer := d.answer(time.Now(), msg.Subject, msg.Reply)
			if answer == nil {
				continue
			}
			if err := c.cfg.Conn.Publish(msg.Reply, answer); err != nil {
				c.log.Debug("discovery not answered", "err", err)
			}
		}
	}
}

// checkName returns an error when another coordinator of the network has this one's
// name. Where credentials of its own keep that name for it nobody is asked: whoever
// joined as a coordinator could keep it from starting by what it answers.
func (c *Coordinator) checkName(ctx context.Context) error {
	if c.cfg.Access != nil {
		return nil
	}
	found, err := protocol.Discover(ctx, c.cfg.Conn, pingTime)
	if err != nil && ctx.Err() == nil {
		c.log.Debug("discovery", "err", err)
	}
	for _, other := range found {
		if other.Network == c.cfg.Params.ID() && other.Name == c.cfg.Name && other.Key != c.publicKey {
			return fmt.Errorf("%w: %q on %s", ErrNameTaken, c.cfg.Name, c.cfg.Conn.ConnectedUrlRedacted())
		}
	}
	return nil
}

// ErrNameTaken says that another coordinator of the network has this one's name.
var ErrNameTaken = fmt.Errorf("another coordinator has this name")
