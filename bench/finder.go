package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jbcnet/jbc/coordinator/protocol"
	"github.com/jbcnet/jbc/hashing"
)

// finder plays a worker that holds its solutions back until the bench wants them
// published.
type finder struct {
	name string
	conn *nats.Conn
	subj protocol.Subjects
	jobs chan *nats.Msg

	slot   uint32
	secret []byte
	job    *protocol.Job
	done   []protocol.Done // of the last lease, see lease
}

const (
	finderName      = "finder"
	coordinatorName = "bench"
	askTime         = 2 * time.Second
)

// newFinder joins the rig's coordinator.
func newFinder(ctx context.Context, r *rig) (*finder, error) {
	name := fmt.Sprintf("%s-%08x", finderName, rand.Uint32()) // a name has few slots
	conn, err := r.dial(name)
	if err != nil {
		return nil, err
	}
	f := &finder{name: name, conn: conn, subj: protocol.NewSubjects(r.coord.Network()), jobs: make(chan *nats.Msg, 1024)}
	if _, err := conn.ChanSubscribe(f.subj.Job(coordinatorName), f.jobs); err != nil {
		conn.Close()
		return nil, err
	}
	var reply protocol.JoinReply
	own, err := protocol.NewExchange()
	if err != nil {
		conn.Close()
		return nil, err
	}
	join := protocol.Join{Ask: f.ask(protocol.KindJoin), Name: name, Threads: 1, DeclaredHS: 1e6, Exchange: own.Public()}
	if err := f.request(ctx, &join, &reply); err != nil {
		conn.Close()
		return nil, err
	}
	f.slot, f.job = reply.Slot, reply.Job
	if f.secret, err = own.WorkerSecret(reply.Exchange); err != nil {
		conn.Close()
		return nil, err
	}
	return f, nil
}

func (f *finder) close() { f.conn.Close() }

func (f *finder) ask(kind string) protocol.Ask {
	return protocol.Ask{Kind: kind, ID: protocol.Point(rand.Uint64())}
}

// request asks the coordinator and reads its answer, refusals included.
func (f *finder) request(ctx context.Context, m, reply protocol.Message) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request := &nats.Msg{Subject: f.subj.Ask(coordinatorName, f.name), Data: protocol.Encode(m)}
	if f.secret != nil {
		protocol.Seal(request, f.secret)
	}
	msg, err := f.conn.RequestMsgWithContext(ctx, request)
	if err != nil {
		return err
	}
	return protocol.Decode(msg.Data, reply)
}

// next waits until the coordinator's job is one that comes after the finder's.
func (f *finder) next(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case msg := <-f.jobs:
			var job protocol.Job
			if protocol.Decode(msg.Data, &job) != nil {
				continue // a hold or a rejection
			}
			if f.job == nil || f.job.Before(job.JobID) {
				f.job = &job
				return nil
			}
		}
	}
}

// solve finds a solution of the current job in the finder's own column.
func (f *finder) solve(ctx context.Context) (protocol.Place, error) {
	if f.job == nil {
		return protocol.Place{}, errors.New("no job to solve")
	}
	k := hashing.BestKernel()
	s := f.job.Search(f.slot, f.job.Target())
	hits := make([]hashing.Hit, hashing.MaxVersions)
	const batch = 256 // about half a millisecond with the slowest library
	for first := uint64(0); first < protocol.ColumnPoints && ctx.Err() == nil; first += batch {
		if _, found := k.Scan(&s, uint32(first), batch, hits); found > 0 {
			point := protocol.Point(f.slot)<<32 | protocol.Point(hits[0].Nonce)
			return protocol.Place{JobID: f.job.JobID, Point: point, Roll: hits[0].Version}, nil
		}
	}
	return protocol.Place{}, fmt.Errorf("no solution of job %s: %w", f.job.JobID, ctx.Err())
}

// publish tells everybody about a solution, as its worker would.
func (f *finder) publish(p protocol.Place) error {
	solved := protocol.Solved{Kind: protocol.KindSolved, Coordinator: coordinatorName, Header: f.job.Header(p.Point, p.Roll), Place: p}
	return f.conn.Publish(f.subj.Solved(f.name), protocol.Encode(&solved))
}
