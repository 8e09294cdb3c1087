package chain

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
)

// Whoever joins, leaves, lies, is missing or takes another key, and whenever: after every block A2 holds, bonds are
// what members and candidates have set aside, and the set is never empty and
// never becomes one of two.
func TestMembersComeAndGo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newFederation(t, 6, func(g *Genesis) {
			quick(g)
			g.Params.ValidatorBond = atp.Amount(rapid.SampledFrom([]uint64{0, 1, 600_000_000}).Draw(rt, "bond"))
		})
		keys := 0
		for range rapid.IntRange(1, 25).Draw(rt, "blocks") {
			var txs []VerifiedTx
			next := map[int][]key{}
			for range rapid.IntRange(0, 4).Draw(rt, "operations") {
				i := rapid.IntRange(0, len(w.keys)-1).Draw(rt, "by")
				switch rapid.IntRange(0, 9).Draw(rt, "what") {
				case 0:
					txs = append(txs, w.leave(i))
				case 1:
					txs = append(txs, w.tx(i, &Transfer{To: w.keys[0].id, Amount: 300 * atp.ATP}))
				case 2:
					h := w.state.Tip().Height - min(w.state.Tip().Height, bft.Height(rapid.IntRange(0, 5).Draw(rt, "ago")))
					txs = append(txs, w.tx(0, w.doubleVote(w.keys[i], h)))
				case 3:
					keys++
					to := newKey(fmt.Sprint("another ", keys))
					txs = append(txs, w.rotation(i, to))
					next[i] = append(next[i], to)
				default:
					txs = append(txs, w.join(i, atp.Span(rapid.SampledFrom([]uint64{1_000, 20_000, 60_000}).Draw(rt, "lasts"))))
				}
			}
			missing := rapid.SliceOfN(rapid.IntRange(0, len(w.keys)-1), 0, 2).Draw(rt, "missing")
			before := w.state.Validators().Len()
			after := atp.Span(rapid.SampledFrom([]uint64{1, 1_000, 30_000}).Draw(rt, "after"))
			r := w.blockOf(w.without(after, missing...), txs...) // checks A2
			for i, made := range next {
				now, err := w.state.Newest(w.keys[i].id)
				must(t, err)
				for _, to := range made {
					if now == to.id {
						w.keys[i] = to
					}
				}
			}
			for _, k := range w.keys {
				a, err := w.state.Account(k.id)
				must(t, err)
				w.nonce[k.id] = a.Nonce
			}
			n := w.state.Validators().Len()
			if n == 0 || n == 2 && before != 2 && !slashed(r) {
				rt.Fatalf("a set of %d", n)
			}
			w.checkBonds(rt)
		}
	})
}

func slashed(r Result) bool {
	for _, receipt := range r.Receipts {
		for _, e := range receipt.Events {
			if _, is := e.Fact.(*ValidatorSlashed); is {
				return true
			}
		}
	}
	return false
}

// checkBonds compares what each has bonded with what it is.
func (w *world) checkBonds(t *rapid.T) {
	for _, k := range w.keys {
		a, err := w.state.Account(k.id)
		must(w.t, err)
		v, member, err := w.state.Validator(k.id)
		must(w.t, err)
		c, waits, err := w.state.Candidate(k.id)
		must(w.t, err)
		if member && waits || member != w.state.Validators().Contains(bft.ID(k.id)) {
			t.Fatalf("%s is a validator: %v, and a candidate: %v", k.id, member, waits)
		}
		h, _, err := w.state.Held(k.id)
		must(w.t, err)
		if want := v.Bond + c.Bond + h.Bond; a.Bonded != want {
			t.Fatalf("%s has bonded %s ATP, want %s ATP", k.id, a.Bonded, want)
		}
		if waits && c.Until < w.state.Tip().Time {
			t.Fatalf("the candidacy of %s ended at %d, and it is %d", k.id, c.Until, w.state.Tip().Time)
		}
	}
}
