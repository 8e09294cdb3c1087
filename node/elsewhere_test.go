package node

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node/signer"
	"github.com/sage-p2p/sage-p2p/p2p"
)

// The key is in use elsewhere if the other process was met, or if more validators
// say so than may lie. What fewer say, or a stranger, ends nothing.
func TestOnlyMoreValidatorsThanMayLieEndAPlatform(t *testing.T) {
	w := newWorld(t, 4)
	w.genesis.Validators = nil
	for _, a := range w.all {
		w.genesis.Validators = append(w.genesis.Validators, a.id())
	}
	state, _, err := w.genesis.State()
	if err != nil {
		t.Fatal(err)
	}
	ids := state.Validators().IDs()
	told := func(by ...bft.ID) (events []p2p.Clone) {
		for _, id := range by {
			events = append(events, p2p.Clone{Via: id.ID})
		}
		return events
	}
	for _, tt := range []struct {
		name   string
		events []p2p.Clone
		ends   bool
		alarms int
	}{
		{"nobody", nil, false, 0},
		{"we ourselves", []p2p.Clone{{Direct: true}}, true, 1},
		{"a stranger", told(bft.ID{ID: peer.ID("stranger")}), false, 0},
		{"one of four validators", told(ids[0]), false, 1},
		{"one of four, twice", told(ids[0], ids[0]), false, 1},
		{"two of four", told(ids[0], ids[2]), true, 2},
		{"all", told(ids...), true, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := signer.OpenOrCreate(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			n := &Node{log: slog.New(slog.DiscardHandler), hub: newHub(time.Now()), signer: s, elsewhere: newElsewhere()}
			r := &running{}
			r.newest.Store(&head{state, state.Validators()})
			n.chain.Store(r)
			for _, e := range tt.events {
				n.cloned(e)
			}
			if ends := len(n.elsewhere.found) == 1; ends != tt.ends {
				t.Errorf("it ends: %v, want %v", ends, tt.ends)
			}
			if _, err := s.SignBytes([]byte("sage/tx/1")); errors.Is(err, signer.ErrElsewhere) != tt.ends {
				t.Errorf("signing: %v, want it to end: %v", err, tt.ends)
			}
			if got := len(n.hub.alarmed()); got != tt.alarms {
				t.Errorf("alarms: %q, want %d", n.hub.alarmed(), tt.alarms)
			}
			if tt.ends {
				if err := n.alone(t.Context()); !errors.Is(err, signer.ErrElsewhere) {
					t.Errorf("it ends with %v", err)
				}
			}
		})
	}
}
