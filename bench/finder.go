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
	conn, err := r.dial(finderName)
	if err != nil {
		return nil, err
	}
	f := &finder{conn: conn, subj: protocol.NewSubjects(r.coord.Network()), jobs: make(chan *nats.Msg, 1024)}
	if _, err := conn.ChanSubscribe(f.subj.Job(coordinatorName), f.jobs); err != nil {
		conn.Close()
		return nil, err
	}
	var reply protocol.JoinReply
	join := protocol.Join{Ask: f.ask(protocol.KindJoin), Name: finderName, Threads: 1, DeclaredHS: 1e6}
	if err := f.request(ctx, &join, &reply); err != nil {
		conn.Close()
		return nil, err
	}
	f.slot, f.secret, f.job = reply.Slot, reply.Secret, reply.Job
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
	msg, err := f.conn.RequestWithContext(ctx, f.subj.Ask(coordinatorName, finderName), protocol.Encode(m))
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
	return f.conn.Publish(f.subj.Solved(finderName), protocol.Encode(&solved))
}
