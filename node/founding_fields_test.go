package node

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/bft/fieldtest"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// effect is what becomes of a founding that hears an announcement.
type effect string

const (
	unsigned   effect = "we do not sign"
	incomplete effect = "we have signed, and wait for the other's signature"
	complete   effect = "the genesis is complete, and the one that its founders computed"
)

// announced says what a change of each field of an announcement does. The
// signature in it is under the draft of the genesis, not under the announcement,
// whose stream is its sender's own: what counts is that we neither sign another
// genesis than the one that its founders computed, nor take one for complete.
//
// Before we sign, what the draft is made of decides whether we sign at all. After
// that it is in the draft, and only signatures under that are wanted.
var announced = map[string]struct {
	before, after effect
	why           string
}{
	"Name":      {unsigned, complete, "the draft has the names: another is another draft, which its sender did not announce"},
	"Time":      {unsigned, complete, "likewise, of the median; any other time moves nothing, as the test below says"},
	"Expect":    {unsigned, complete, "who expect different numbers sign nothing"},
	"Params":    {unsigned, complete, "likewise for parameters, which the draft has, too"},
	"Draft":     {unsigned, incomplete, "we sign what its sender would sign, and a signature counts under our draft alone"},
	"Signature": {incomplete, incomplete, "it does not hold, and is asked for again"},
	"Genesis":   {complete, complete, "a genesis proves itself, as the last test says; what is none is passed over"},
}

// hearing is a founder and what it hears from the one other, who has signed.
type hearing struct {
	t     *testing.T
	us    *founding
	other atp.ID
	heard []byte   // the other's announcement, as sent
	want  [32]byte // hash of the genesis that both mean
}

// newHearing has the founder whose time is not the draft's hear the one whose it is.
func newHearing(t *testing.T) hearing {
	t.Helper()
	r := newRoom(t, 2, 2)
	slices.Reverse(r.list)
	r.round() // the second hears what the first would sign, and signs
	us, other := r.list[0], r.list[1]
	if us.signs != 0 || other.signs != 1 || us.say.Time <= other.say.Time {
		t.Fatalf("we have signed %d times, the other %d; the times are %d and %d", us.signs, other.signs, us.say.Time, other.say.Time)
	}
	return hearing{t, us.founding, other.self, encode(t, other.say), other.say.Draft}
}

// signed is h after we have signed, too, and before we hear the other's signature.
func (h hearing) signed() hearing {
	h.t.Helper()
	a := *h.fresh().(*wire.Announcement)
	a.Signature = bft.Signature{}
	h.us = h.us.shown()
	if got := h.judge(h.us, a); got != incomplete {
		h.t.Fatalf("without the other's signature: %s", got)
	}
	return h
}

// fresh is the announcement as it was sent.
func (h hearing) fresh() any {
	a, err := wire.DecodeAnnouncement(h.heard)
	if err != nil {
		h.t.Fatal(err)
	}
	return &a
}

// judge says what becomes of us when we hear a.
func (h hearing) judge(us *founding, a wire.Announcement) effect {
	h.t.Helper()
	g, waiting, err := us.hear(map[atp.ID]wire.Announcement{h.other: a})
	if err != nil {
		h.t.Fatal(err)
	}
	if us.signed() && us.say.Draft != h.want {
		return "we have signed another genesis"
	}
	switch {
	case waiting == "":
		if hash, err := g.Hash(); err != nil || hash != h.want || g.Validate() != nil {
			return effect(fmt.Sprintf("the genesis is %s, %v", hash, err))
		}
		return complete
	case us.signed():
		return incomplete
	default:
		return unsigned
	}
}

// TestOneFieldOfAnAnnouncementChanged changes each field of a founder's
// announcement, and has it judged as the node does: decoded, and then heard.
func TestOneFieldOfAnAnnouncementChanged(t *testing.T) {
	before := newHearing(t)
	after := before.signed()
	for _, h := range []hearing{before, after} {
		if got := h.judge(h.us.shown(), *h.fresh().(*wire.Announcement)); got != complete {
			t.Fatalf("as it was sent: %s", got)
		}
	}
	changes := map[string]int{}
	fieldtest.Each(before.fresh, func(c fieldtest.Change) {
		changes[c.Field]++
		a, err := wire.DecodeAnnouncement(encode(t, *c.Value.(*wire.Announcement)))
		if err != nil {
			return // its sender is blamed, and nothing was heard
		}
		field := announced[c.Field]
		if got := before.judge(before.us.shown(), a); got != field.before {
			t.Errorf("%s: %s: %s, want: %s (%s)", c.Field, c.What, got, field.before, field.why)
		}
		if got := after.judge(after.us.shown(), a); got != field.after {
			t.Errorf("%s: %s, after we signed: %s, want: %s (%s)", c.Field, c.What, got, field.after, field.why)
		}
	})
	for f := range reflect.TypeFor[wire.Announcement]().Fields() {
		if changes[f.Name] == 0 {
			t.Errorf("field %s was not changed", f.Name)
		}
	}
	if len(changes) != len(announced) {
		t.Errorf("%d fields were changed, want the %d that have a reason", len(changes), len(announced))
	}
}

// A founder's time is in the draft if it is the median. Else it counts only for
// which one is: while it stays on its side of that, no draft differs.
func TestATimeThatIsNotTheMedianMovesNothing(t *testing.T) {
	r := newRoom(t, 3, 3)
	us, late := r.list[0], r.list[2]
	draft := func(time atp.Millis) [32]byte {
		h := heard(r.others(us)...)
		a := h[late.self]
		a.Time = time
		h[late.self] = a
		hash, err := us.compute(h).Hash()
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	median := r.list[1].say.Time
	want := draft(late.say.Time)
	for bit := range 63 {
		time := late.say.Time ^ 1<<bit
		if got := draft(time); (got == want) != (time >= median) {
			t.Errorf("a time of %d beside the median %d: the draft is the same: %v", time, median, got == want)
		}
	}
}

// Whoever has completed a genesis shows it, and that is taken without the
// signature of the announcement: it proves itself. One byte of it other than it
// was, it is the same one or none.
func TestOneByteOfACompletedGenesisChanged(t *testing.T) {
	h := newHearing(t).signed()
	a := *h.fresh().(*wire.Announcement)
	g, waiting, err := h.us.shown().hear(map[atp.ID]wire.Announcement{h.other: a})
	if err != nil || waiting != "" {
		t.Fatalf("%q, %v", waiting, err)
	}
	a.Signature = bft.Signature{}
	if a.Genesis, err = g.JSON(); err != nil {
		t.Fatal(err)
	}
	if got := h.judge(h.us.shown(), a); got != complete {
		t.Fatalf("as it was shown: %s", got)
	}
	refused := 0
	for i := range a.Genesis {
		changed := a
		changed.Genesis = slices.Clone(a.Genesis)
		changed.Genesis[i] ^= 1 << (i % 8)
		switch got := h.judge(h.us.shown(), changed); got {
		case complete: // such as a blank of another kind
		case incomplete:
			refused++
		default:
			t.Errorf("with %q for %q at %d: %s", changed.Genesis[i], a.Genesis[i], i, got)
		}
	}
	if refused < len(a.Genesis)/2 {
		t.Errorf("%d of %d changes are refused, want more", refused, len(a.Genesis))
	}
}

func encode(t *testing.T, a wire.Announcement) []byte {
	t.Helper()
	raw, err := atp.Encode(&a)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
