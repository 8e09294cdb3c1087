package node

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// founder is a founding platform of a test.
type founder struct {
	*founding
	actor actor
	cfg   Config
	signs int // signatures given
}

// room is founders who hear each other, all or as a test says.
type room struct {
	t    *testing.T
	list []*founder
}

func newRoom(t *testing.T, n, expect int) *room {
	t.Helper()
	r := &room{t: t}
	for i, a := range actors(n) {
		cfg := Config{Home: t.TempDir(), Name: fmt.Sprintf("node-%d", i), Network: "testing", Expect: expect}
		f := &founder{actor: a, cfg: cfg}
		r.list = append(r.list, f)
		r.start(f, epoch+atp.Millis(i))
	}
	return r
}

// start makes a founder's founding, as a start of its process does.
func (r *room) start(f *founder, now atp.Millis) {
	r.t.Helper()
	var err error
	f.founding, err = newFounding(f.cfg, f.actor.id(), chain.DefaultParams(chain.AdmitAuto), now, func(m []byte) (bft.Signature, error) {
		f.signs++
		return f.actor.sign(m)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// heard is what others say, as one of them hears it.
func heard(others ...*founder) map[atp.ID]wire.Announcement {
	all := map[atp.ID]wire.Announcement{}
	for _, o := range others {
		all[o.self] = o.say
	}
	return all
}

func (r *room) others(f *founder) (list []*founder) {
	for _, o := range r.list {
		if o != f {
			list = append(list, o)
		}
	}
	return list
}

// round lets every founder hear all others once, and returns the geneses that
// are complete, and what each founder waits for.
func (r *room) round() (complete map[int]chain.Genesis, waiting []string) {
	r.t.Helper()
	complete = map[int]chain.Genesis{}
	for i, f := range r.list {
		g, w, err := f.hear(heard(r.others(f)...))
		if err != nil {
			r.t.Fatalf("founder %d: %v", i, err)
		}
		if waiting = append(waiting, w); w == "" {
			complete[i] = g
		}
	}
	return complete, waiting
}

func (r *room) untilComplete() map[int]chain.Genesis {
	r.t.Helper()
	for range 6 {
		if complete, _ := r.round(); len(complete) == len(r.list) {
			return complete
		}
	}
	_, waiting := r.round()
	r.t.Fatalf("after six rounds they wait for %q", waiting)
	return nil
}

func TestAllFoundersComputeAndSignOneGenesis(t *testing.T) {
	r := newRoom(t, 4, 4)
	complete := r.untilComplete()
	want, err := complete[0].Hash()
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range complete {
		if got, err := g.Hash(); err != nil || got != want {
			t.Errorf("founder %d has %s, %v, want %s", i, got, err, want)
		}
		if err := g.Validate(); err != nil {
			t.Errorf("founder %d: %v", i, err)
		}
	}
	if got := complete[0].Time; got != epoch+1 {
		t.Errorf("time = %d, want the lower median %d", got, epoch+1)
	}
	for i, f := range r.list {
		if f.signs != 1 {
			t.Errorf("founder %d signed %d times, want once", i, f.signs)
		}
	}
}

func TestOnePlatformFoundsAlone(t *testing.T) {
	r := newRoom(t, 1, 1)
	g, waiting, err := r.list[0].hear(nil)
	if err != nil || waiting != "" || g.Validate() != nil {
		t.Fatalf("hear = %+v, %q, %v, want a genesis", g, waiting, err)
	}
}

func TestAClockYearsAheadDoesNotMoveTheGenesis(t *testing.T) {
	r := newRoom(t, 4, 4)
	r.list[3].say.Time = 1 << 62
	if g := r.untilComplete()[0]; g.Time != epoch+1 {
		t.Errorf("time = %d, want %d", g.Time, epoch+1)
	}
}

// Neither do most of them end the process of the one whose clock is right.
func TestMostClocksWithoutAnEndAreWaitedFor(t *testing.T) {
	r := newRoom(t, 3, 3)
	r.list[1].say.Time, r.list[2].say.Time = math.MaxUint64, math.MaxUint64-1
	for range 3 {
		_, waiting, err := r.list[0].hear(heard(r.others(r.list[0])...))
		if err != nil || !strings.Contains(waiting, "a clock that is right") || !strings.Contains(waiting, "node-2") {
			t.Fatalf("waits for %q: %v", waiting, err)
		}
	}
	if r.list[0].signs != 0 {
		t.Error("it signed")
	}
}

func TestARestartKeepsThePromiseOfAFounder(t *testing.T) {
	r := newRoom(t, 3, 3)
	r.round() // all hear of each other
	late := r.list[2]
	for late.signs == 0 {
		if _, _, err := late.hear(heard(r.others(late)...)); err != nil {
			t.Fatal(err)
		}
		r.round()
	}
	promised, signature := late.say.Draft, late.say.Signature
	late.cfg.Name = "another" // what it is called now changes nothing
	r.start(late, epoch+1_000_000)
	if late.say.Draft != promised || late.say.Signature != signature || late.say.Name != "node-2" {
		t.Fatalf("after the restart it announces %x as %s, want %x as node-2", late.say.Draft, late.say.Name, promised)
	}
	for i, g := range r.untilComplete() {
		if got, err := g.Hash(); err != nil || [32]byte(got) != promised {
			t.Errorf("founder %d has %x, %v, want %x", i, got, err, promised)
		}
	}
	if late.signs != 1 {
		t.Errorf("it signed %d times, want once", late.signs)
	}
}

func TestARestartBeforeTheSignatureChangesNoDraft(t *testing.T) {
	r := newRoom(t, 2, 2)
	r.start(r.list[0], epoch+1_000_000)
	if got := r.list[0].say.Time; got != epoch {
		t.Errorf("it wished at %d, and says %d", epoch, got)
	}
	r.untilComplete()
}

func TestOneWhoHearsOfOtherFoundersSpoilsNothing(t *testing.T) {
	r := newRoom(t, 4, 3) // one too many
	a, b, c, d := r.list[0], r.list[1], r.list[2], r.list[3]
	partial := map[*founder][]*founder{a: {b, c}, b: {a, d}, c: {a, d}, d: {b, c}}
	for range 5 {
		for f, hears := range partial {
			if _, waiting, err := f.hear(heard(hears...)); err != nil || waiting == "" {
				t.Fatalf("hear = %q, %v, want to wait", waiting, err)
			}
		}
	}
	for i, f := range r.list {
		if f.signs != 0 {
			t.Errorf("founder %d signed what not all of its founders would sign", i)
		}
	}
	if _, waiting := r.round(); !strings.Contains(waiting[0], "4 are here and 3 were expected") {
		t.Errorf("with all four in sight they wait for %q", waiting[0])
	}
	r.list = r.list[:3] // the fourth is stopped
	r.untilComplete()
}

func TestFoundingSaysWhatItWaitsFor(t *testing.T) {
	other := func(change func(*wire.Announcement)) func(*room) map[atp.ID]wire.Announcement {
		return func(r *room) map[atp.ID]wire.Announcement {
			h := heard(r.others(r.list[0])...)
			a := h[r.list[1].self]
			change(&a)
			h[r.list[1].self] = a
			return h
		}
	}
	for _, tt := range []struct {
		name  string
		heard func(*room) map[atp.ID]wire.Announcement
		want  string
	}{
		{"too few", func(*room) map[atp.ID]wire.Announcement { return nil }, "1 of 2 founders"},
		{"another number", other(func(a *wire.Announcement) { a.Expect = 3 }), "which expects 3 platforms, and this one 2"},
		{"other parameters", other(func(a *wire.Announcement) { a.Params[0]++ }), "the same --params"},
		{"one name twice", other(func(a *wire.Announcement) { a.Name = "node-0" }), "start it with another --name"},
		{"does not hear us", other(func(*wire.Announcement) {}), "node-1 to hear of all founders"},
		{"signed another", other(func(a *wire.Announcement) { a.Draft[0], a.Signature[0] = 1, 1 }), "which has signed another genesis"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoom(t, 2, 2)
			_, waiting, err := r.list[0].hear(tt.heard(r))
			if err != nil || !strings.Contains(waiting, tt.want) {
				t.Errorf("waits for %q, %v, want %q", waiting, err, tt.want)
			}
			if r.list[0].signs != 0 {
				t.Error("it signed")
			}
		})
	}
}

func TestASignatureThatDoesNotHoldIsAskedForAgain(t *testing.T) {
	r := newRoom(t, 2, 2)
	r.round() // the second has heard what the first would sign, and signed
	a, b := r.list[0], r.list[1]
	bad := b.say
	bad.Signature[0]++
	_, waiting, err := a.hear(map[atp.ID]wire.Announcement{b.self: bad})
	if err != nil || !strings.Contains(waiting, "the signatures of node-1") {
		t.Errorf("with a false signature: %q, %v, want to wait for node-1's", waiting, err)
	}
	r.untilComplete()
}

func TestAFounderTakesTheGenesisThatAnotherCompleted(t *testing.T) {
	r := newRoom(t, 3, 3)
	for r.list[0].signs+r.list[1].signs+r.list[2].signs < 3 {
		r.round()
	}
	var complete chain.Genesis
	for complete.Version == 0 {
		g, waiting, err := r.list[0].hear(heard(r.others(r.list[0])...))
		if err != nil {
			t.Fatal(err)
		}
		if waiting == "" {
			complete = g
		}
	}
	raw, err := complete.JSON()
	if err != nil {
		t.Fatal(err)
	}
	last := r.list[2]
	finished := map[atp.ID]wire.Announcement{r.list[0].self: {Name: "node-0", Genesis: raw}}
	if g, waiting, err := last.hear(finished); err != nil || waiting != "" || g.Validate() != nil {
		t.Errorf("with what node-0 completed: %q, %v, want the genesis", waiting, err)
	}
	stranger := newRoom(t, 2, 2).list[1]
	if _, waiting, err := stranger.hear(finished); err != nil || waiting == "" {
		t.Errorf("one who signed nothing took another's genesis: %q, %v", waiting, err)
	}
}

func TestAFoundingFileThatDoesNotFitIsSaidInOneSentence(t *testing.T) {
	r := newRoom(t, 1, 1)
	f := r.list[0]
	if _, _, err := f.hear(nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.cfg.Home, foundingFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(c *Config, raw []byte) []byte
		want   string
	}{
		{"another number", func(c *Config, raw []byte) []byte { c.Expect = 2; return raw }, "signed a genesis with --expect 1"},
		{"another network", func(c *Config, raw []byte) []byte { c.Network = "other"; return raw }, "signed a genesis with --network testing"},
		{"cut short", func(_ *Config, raw []byte) []byte { return raw[:len(raw)/2] }, "is damaged"},
		{"empty", func(*Config, []byte) []byte { return nil }, "is damaged"},
		{"of nothing", func(*Config, []byte) []byte { return []byte("{}") }, "is damaged"},
		{"a damaged draft", func(_ *Config, raw []byte) []byte {
			return bytes.Replace(raw, []byte(`"version": 1`), []byte(`"version": 7`), 1)
		}, "is damaged"},
		{"of another platform", func(_ *Config, raw []byte) []byte {
			return bytes.ReplaceAll(raw, []byte(f.self.String()), []byte(newActor("other").id().String()))
		}, "of another platform"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := f.cfg
			if err := os.WriteFile(path, tt.change(&cfg, bytes.Clone(good)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := newFounding(cfg, f.self, f.params, epoch, f.sign)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "remove founding.json") || strings.Contains(err.Error(), "\n") {
				t.Errorf("newFounding: %v, want %q in one line, with the remedy", err, tt.want)
			}
		})
	}
}

func TestAFounderThatCannotSignEndsItsFounding(t *testing.T) {
	refused := errors.New("the signer refuses")
	cfg := Config{Home: t.TempDir(), Name: "node-0", Network: "testing", Expect: 1}
	f, err := newFounding(cfg, newActor("0").id(), chain.DefaultParams(chain.AdmitAuto), epoch, func([]byte) (bft.Signature, error) {
		return bft.Signature{}, refused
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.hear(nil); !errors.Is(err, refused) {
		t.Errorf("hear: %v, want %v", err, refused)
	}
	if raw, err := os.ReadFile(filepath.Join(cfg.Home, foundingFile)); err != nil || bytes.Contains(raw, []byte("draft")) {
		t.Errorf("it has promised what it did not sign: %s, %v", raw, err)
	}
}
