package node

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

func TestOnlyWhoMayExecuteGetsProgramAndInput(t *testing.T) {
	w := newWorld(t, 3)
	requester, executor, stranger := w.all[0].id(), w.all[1].id(), w.all[2].id()
	// The executor alone is registered for the type and the runtime.
	state := w.first(
		w.tx(1, 0, func(tx *chain.Transaction) {
			tx.Ops = []chain.Op{{Action: &chain.PlatformRegister{Platform: platformOf("founder-1")}}}
		}),
		w.tx(2, 0, func(tx *chain.Transaction) {
			p := platformOf("founder-2")
			p.Offers = []task.Offer{task.DefaultOffer(task.SensorFusion)}
			tx.Ops = []chain.Op{{Action: &chain.PlatformRegister{Platform: p}}}
		}),
	)
	open := task.Task{Stage: task.Posted, Requester: task.Party{ID: requester}, Terms: visionTerms(1)}
	named := open
	named.Terms.Executor = atp.OptionalID{ID: executor}
	accepted := open
	accepted.Stage, accepted.Acceptance = task.Accepted, &task.Acceptance{Executor: task.Party{ID: executor}}
	cancelled := open
	cancelled.Stage = task.Settled
	done := accepted
	done.Stage = task.Settled
	otherRuntime := open
	otherRuntime.Terms.Runtime = "gpu"
	for _, tt := range []struct {
		name                          string
		task                          task.Task
		requester, executor, stranger bool
	}{
		{"open", open, false, true, false},
		{"open, for a runtime that nobody has", otherRuntime, false, false, false},
		{"offered to one", named, false, true, false},
		{"accepted", accepted, false, true, false},
		{"settled after acceptance", done, false, true, false},
		{"cancelled", cancelled, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, who := range []struct {
				name string
				id   atp.ID
				want bool
			}{{"requester", requester, tt.requester}, {"executor", executor, tt.executor}, {"stranger", stranger, tt.stranger}} {
				if got := mayExecute(state, tt.task, who.id); got != who.want {
					t.Errorf("mayExecute(%s) = %v, want %v", who.name, got, who.want)
				}
			}
		})
	}
}

// half is one side of a stream whose other side is a script.
type half struct {
	in   [][]byte // frames that come
	blob []byte   // what comes as a blob
	size int64    // that the sender claims
	out  [][]byte
}

func (h *half) ReadFrame(limit int) ([]byte, error) {
	if len(h.in) == 0 {
		return nil, io.EOF
	}
	f := h.in[0]
	h.in = h.in[1:]
	if len(f) > limit {
		return nil, p2p.ErrTooLarge
	}
	return f, nil
}

func (h *half) WriteFrame(f []byte) error { h.out = append(h.out, f); return nil }

func (h *half) ReadBlob(w io.Writer, limit int64) (int64, error) {
	if h.size > limit {
		return 0, p2p.ErrTooLarge
	}
	n, err := w.Write(h.blob)
	if int64(n) < h.size {
		return int64(n), p2p.ErrMalformed
	}
	return int64(n), err
}

func (h *half) WriteBlob(io.Reader, int64) error { return nil }

func TestContentIsTakenOnlyAsItsNameSays(t *testing.T) {
	const size = 17
	good := []byte("an edge, a corner")
	name, err := newBlobs(t).putBytes(good)
	if err != nil {
		t.Fatal(err)
	}
	here := [][]byte{{blobHere}}
	for _, tt := range []struct {
		name string
		peer *half
		want error
	}{
		{"as it should be", &half{in: here, blob: good, size: size}, nil},
		{"other bytes", &half{in: here, blob: []byte("an edge, a cornel"), size: size}, errOtherBlob},
		{"more than the task says", &half{in: here, blob: good, size: 1 << 40}, p2p.ErrTooLarge},
		{"cut short", &half{in: here, blob: good[:5], size: size}, p2p.ErrMalformed},
		{"refused", &half{in: [][]byte{append([]byte{blobRefused}, "no"...)}}, errRefused},
		{"refused without a word", &half{in: [][]byte{{blobRefused}}}, errRefused},
		{"an empty answer", &half{in: [][]byte{{}}}, errRefused},
		{"an answer of another kind", &half{in: [][]byte{{7}}}, errRefused},
		{"an endless refusal", &half{in: [][]byte{bytes.Repeat([]byte{blobRefused}, 2*maxRefusal)}}, p2p.ErrTooLarge},
		{"no answer", &half{}, io.EOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBlobs(t)
			err := receiveBlob(b, tt.peer, wire.BlobRequest{Task: someCID("task"), Blob: name}, size)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("receiveBlob: %v, want %v", err, tt.want)
			}
			if got := b.has(name); got != (tt.want == nil) {
				t.Errorf("it is here: %v", got)
			}
		})
	}
}

func TestARefusalIsShortAndReadable(t *testing.T) {
	h := &half{}
	if err := refuseBlob(h, errors.New(strings.Repeat("é", maxRefusal))); err != nil {
		t.Fatal(err)
	}
	if got := h.out[0]; got[0] != blobRefused || len(got) > 1+maxRefusal {
		t.Errorf("a refusal of %d bytes, kind %d", len(got), got[0])
	}
}
