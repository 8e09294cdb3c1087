package node

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// loop owns the replica. Everything that happens reaches it as an input, one
// at a time, and each output is carried out completely before the next input
// is taken: make durable and sign, then send, then the rest (replica.Output).
type loop struct {
	genesis bft.GenesisHash
	replica *replica.Replica
	signer  signs
	store   stores
	net     carries

	inputs  chan replica.Input    // from peers and users; senders wait their turn
	answers *queue[replica.Input] // to what the loop itself asked for
	timers  *timers
	clock   wallClock
	quiet   *time.Timer // runs since the last signature: then the signer settles
	pace    pace
	publish func(replica.Publish)
}

// signs makes records durable and hands out signatures (node/signer).
type signs interface {
	ID() bft.ID
	Sign(...bft.Unsigned) ([]bft.Signature, error)
	Settle() error
	Silence(why string) error
	Return(above bft.Height) error
}

// stores makes blocks durable (chain/store).
type stores interface {
	PutLocal(...chain.VerifiedTx) error
	PutBody(...chain.Block) error
	Commit(store.Final) error
}

// carries takes messages and questions to other platforms, and checks
// signatures beside the loop. None of its methods blocks.
type carries interface {
	send(replica.Envelope)
	verify(replica.Job)
	fetch(replica.Fetch)
	answer(replica.Answer)
	gossip(replica.Gossip)
}

// settleAfter is how long nothing was signed when the signer settles.
const settleAfter = 20 * time.Millisecond

// maxTurn is how many answers are taken before others have their turn.
const maxTurn = 64

func (l *loop) run(ctx context.Context) error {
	if err := l.take(replica.Start{}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case in := <-l.inputs:
			if err := l.take(in); err != nil {
				return err
			}
		case <-l.answers.ready:
			for _, in := range l.answers.take(maxTurn) {
				if err := l.take(in); err != nil {
					return err
				}
			}
		case <-l.timers.clock.C:
			for _, t := range l.timers.fired(time.Now()) {
				if err := l.take(replica.TimerFired{Timer: t}); err != nil {
					return err
				}
			}
		case <-l.quiet.C:
			if err := l.signer.Settle(); err != nil {
				return ours(err)
			}
		}
	}
}

// take steps the replica with in, and then with what the signer gives back. If
// the clock was set since the last time it is told that first.
func (l *loop) take(in replica.Input) error {
	if by := l.clock.jump(time.Now()); by != 0 {
		if err := l.step(replica.ClockSet{By: by.Milliseconds()}); err != nil {
			return err
		}
	}
	return l.step(in)
}

func (l *loop) step(in replica.Input) error {
	for in != nil {
		out, err := l.replica.Step(atp.Millis(nowMillis()), in)
		if err != nil {
			return ours(err)
		}
		if in, err = l.execute(out); err != nil {
			return ours(err)
		}
	}
	return nil
}

// execute carries out in the order of replica.Output, and returns the
// signatures that it asked for as the next input.
func (l *loop) execute(out replica.Output) (next replica.Input, err error) {
	each(out.Gossip, l.net.gossip)
	each(out.Verify, l.net.verify)
	if next, err = l.secure(out); err != nil {
		return nil, err
	}
	each(out.Send, l.net.send)
	l.arm(out)
	each(out.Fetch, l.net.fetch)
	each(out.Answers, l.net.answer)
	l.publish(out.Publish)
	return next, nil
}

// secure returns when all of Persist and the signer's record are on disk. That
// nothing is signed any more comes first, then the block that becomes final: what
// is signed may stand on it. A body and the record of who speaks for it are
// written side by side.
func (l *loop) secure(out replica.Output) (next replica.Input, err error) {
	if why := out.Persist.Mute; why != "" {
		if err := l.signer.Silence(why); err != nil {
			return nil, err
		}
	}
	if above := out.Persist.Return; above > 0 {
		if err := l.signer.Return(above); err != nil {
			return nil, err
		}
	}
	if f := out.Persist.Final; f != nil {
		if err := l.store.Commit(store.Final(*f)); err != nil {
			return nil, err
		}
	}
	if len(out.Sign) == 0 {
		return nil, l.put(out.Persist)
	}
	var beside errgroup.Group
	if len(out.Persist.Local)+len(out.Persist.Bodies) > 0 {
		beside.Go(func() error { return l.put(out.Persist) })
	}
	next, err = l.sign(out.Sign)
	if failed := beside.Wait(); err == nil {
		err = failed
	}
	return next, err
}

// put returns when transactions and bodies are on disk.
func (l *loop) put(p replica.Persist) error {
	if len(p.Local) > 0 {
		if err := l.store.PutLocal(p.Local...); err != nil {
			return err
		}
	}
	if len(p.Bodies) > 0 {
		return l.store.PutBody(p.Bodies...)
	}
	return nil
}

// sign returns the statements sealed, after the record of them is on disk.
func (l *loop) sign(list []bft.Unsigned) (replica.Input, error) {
	signatures, err := l.signer.Sign(list...)
	if err != nil {
		return nil, err
	}
	l.quiet.Reset(settleAfter)
	sealed := make([]bft.Verified, len(list))
	for i, u := range list {
		v := bft.Verifier{Scheme: bft.ZIP215{}, Genesis: l.genesis, Height: u.Height}
		if sealed[i], err = v.Seal(u, l.signer.ID(), signatures[i]); err != nil {
			return nil, err
		}
	}
	return replica.Signed{Messages: sealed}, nil
}

func each[T any](list []T, do func(T)) {
	for _, item := range list {
		do(item)
	}
}

// arm starts timers. What was decided is timed first: the same step may have
// begun the next height.
func (l *loop) arm(out replica.Output) {
	now := time.Now()
	if f := out.Publish.Final; f != nil {
		l.pace.decided(now, f.Cert.Height, f.Cert.View)
	}
	for _, t := range out.Timers {
		if t.Kind == replica.TimerView {
			l.pace.entered(now, t.Height, t.View)
		}
	}
	l.timers.arm(now, l.pace.base(), out.Timers)
}
