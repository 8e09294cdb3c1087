package chain

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/task"
)

func TestAGenesisIsFoundedByItsSignatures(t *testing.T) {
	g, keys := signedGenesis(t, 4)
	unsigned := g
	unsigned.Founders = nil
	for _, f := range g.Founders {
		unsigned.Founders = append(unsigned.Founders, Founder{ID: f.ID, Name: f.Name})
	}
	before, err := unsigned.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if after, _ := g.Hash(); after != before {
		t.Error("signatures changed the identity that they cover")
	}
	if err := unsigned.Validate(); err == nil || strings.Count(err.Error(), "does not hold") != 4 {
		t.Errorf("four missing signatures: %v", err)
	}
	if got := len(unsigned.Missing()); got != 4 {
		t.Errorf("%d founders have to sign, want 4", got)
	}
	if _, err := unsigned.WithSignature(keys[0].id, bft.Signature{1}); !errors.Is(err, ErrGenesis) {
		t.Errorf("a false signature: %v", err)
	}
	if _, err := unsigned.WithSignature(newKey("stranger").id, bft.Signature{}); !errors.Is(err, ErrGenesis) {
		t.Errorf("a stranger's signature: %v", err)
	}
	if got := g.Missing(); len(got) > 0 {
		t.Errorf("missing %v", got)
	}
	file, err := g.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseGenesis(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(g, again, equal()); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestAGenesisThatFoundersStillSignIsReadAsSuch(t *testing.T) {
	g, _ := signedGenesis(t, 2)
	g.Founders[1].Signature = FounderSignature{}
	file, err := g.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseGenesis(file); !errors.Is(err, ErrGenesis) {
		t.Errorf("half signed, and taken: %v", err)
	}
	got, err := ParseProposedGenesis(file)
	if err != nil {
		t.Fatal(err)
	}
	if missing := got.Missing(); len(missing) != 1 || missing[0] != g.Founders[1].ID {
		t.Errorf("missing %v", missing)
	}
}

func TestTwoFoundersMakeOneValidator(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 1, 3: 3, 4: 4} {
		var founders []Founder
		for i := range n {
			founders = append(founders, Founder{ID: newKey(string(rune('a' + i))).id, Name: "abc" + string(rune('a'+i))})
		}
		g := NewGenesis("testing", epoch, DefaultParams(AdmitAuto), founders...)
		if got := len(g.Validators); got != want {
			t.Errorf("%d founders: %d validators, want %d", n, got, want)
		}
		if err := g.Check(); err != nil {
			t.Errorf("%d founders: %v", n, err)
		}
	}
}

func TestEveryFieldIsPartOfTheIdentity(t *testing.T) {
	g, _ := signedGenesis(t, 2)
	want, err := g.Hash()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Genesis){
		"version":     func(g *Genesis) { g.Version++ },
		"network":     func(g *Genesis) { g.Network += "x" },
		"time":        func(g *Genesis) { g.Time++ },
		"founder":     func(g *Genesis) { g.Founders[0].Name += "x" },
		"founders":    func(g *Genesis) { g.Founders = g.Founders[:1] },
		"validators":  func(g *Genesis) { g.Validators = append(g.Validators, g.Founders[1].ID) },
		"allocations": func(g *Genesis) { g.Allocations[0].Amount++ },
		"pool":        func(g *Genesis) { g.Pool++ },
		"admission":   func(g *Genesis) { g.Params.Admission = AdmitVote },
		"min fee":     func(g *Genesis) { g.Params.MinFee++ },
		"grant":       func(g *Genesis) { g.Params.JoinGrant++ },
		"bond":        func(g *Genesis) { g.Params.ValidatorBond++ },
		"min lock":    func(g *Genesis) { g.Params.MinLock++ },
		"max lock":    func(g *Genesis) { g.Params.MaxLock++ },
		"heartbeat":   func(g *Genesis) { g.Params.Heartbeat++ },
		"limits":      func(g *Genesis) { g.Params.Limits.Due++ },
		"membership":  func(g *Genesis) { g.Params.Membership.BondHold++ },
		"economy":     func(g *Genesis) { g.Params.Economy.Silence++ },
	} {
		changed, _ := signedGenesis(t, 2)
		change(&changed)
		if got, err := changed.Hash(); err != nil || got == want {
			t.Errorf("another %s gave the same hash: %v", name, err)
		}
	}
}

func TestAGenesisReportsEveryProblem(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Genesis)
		want   []string
	}{
		{"version", func(g *Genesis) { g.Version = 2 }, []string{"version: have 2, want 1"}},
		{"network", func(g *Genesis) { g.Network = "My Net" }, []string{"network"}},
		{"time", func(g *Genesis) { g.Time = 0 }, []string{"time"}},
		{"a time after which there is none", func(g *Genesis) { g.Time = math.MaxUint64 - 1 }, []string{"time: have 18446744073709551614, want at most 32503680000000"}},
		{"no founders", func(g *Genesis) { g.Founders = nil }, []string{"founders: have 0", "is not a founder"}},
		{"a founder twice", func(g *Genesis) { g.Founders[1] = g.Founders[0] }, []string{"listed twice", "two are named"}},
		{"founders out of order", func(g *Genesis) { g.Founders[0], g.Founders[1] = g.Founders[1], g.Founders[0] }, []string{"out of order"}},
		{"a founder without ID", func(g *Genesis) { g.Founders[0].ID = atp.ID{} }, []string{"has no ID"}},
		{"a founder with a bad name", func(g *Genesis) { g.Founders[0].Name = "x" }, []string{"founder 0: name: have"}},
		{"no validators", func(g *Genesis) { g.Validators = nil }, []string{"validators: have 0"}},
		{"a validator that did not sign", func(g *Genesis) { g.Validators[0] = newKey("stranger").id }, []string{"is not a founder", "want its bond"}},
		{"a validator without its bond", func(g *Genesis) { g.Allocations = nil }, []string{"want its bond of 100 ATP"}},
		{"nothing for someone", func(g *Genesis) { g.Allocations[1].Amount = 0 }, []string{"allocation 1: have 0 ATP"}},
		{"too much", func(g *Genesis) { g.Pool = atp.MaxAmount }, []string{"supply"}},
		{"params", func(g *Genesis) { g.Params = Params{} }, []string{"admission", "max lock", "limit on body bytes", "limit on due", "economy"}},
		{"limits above all bounds", func(g *Genesis) { g.Params.Limits.Txs = 1 << 40 }, []string{"limit on transactions"}},
		{"deadlines that are made faster than they fire", func(g *Genesis) { g.Params.Limits.Due = 3_999 }, []string{"limit on due: have 3999, want at least the 4000 operations"}},
		{"transactions that no block can hold", func(g *Genesis) { g.Params.Limits.BodyBytes = 500 }, []string{"limit on transaction bytes: have 65536, want at most the 500 body bytes"}},
		{"a grant under vote", func(g *Genesis) { g.Params.Admission = AdmitVote }, []string{"join grant"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := signedGenesis(t, 3)
			tt.change(&g)
			err := g.Check()
			if !errors.Is(err, ErrGenesis) {
				t.Fatalf("taken: %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

func TestAGenesisFileIsReadStrictly(t *testing.T) {
	g, _ := signedGenesis(t, 1)
	file, err := g.JSON()
	if err != nil {
		t.Fatal(err)
	}
	text := string(file)
	for name, bad := range map[string]string{
		"an unknown field":      strings.Replace(text, `"network"`, `"colour": 1, "network"`, 1),
		"an unknown parameter":  strings.Replace(text, `"min_fee_uatp"`, `"max_fee_uatp": 1, "min_fee_uatp"`, 1),
		"a field in capitals":   strings.Replace(text, `"network"`, `"Network"`, 1),
		"a field twice":         strings.Replace(text, `"network"`, `"network": "other", "network"`, 1),
		"a field left out":      strings.Replace(text, `    "heartbeat_ms": 0,`+"\n", "", 1),
		"a number in words":     strings.Replace(text, `"heartbeat_ms": 0`, `"heartbeat_ms": -0`, 1),
		"something behind it":   text + "{}",
		"a truncated file":      text[:len(text)/2],
		"an ID that is none":    strings.ReplaceAll(text, g.Founders[0].ID.String(), "12D3KooWnobody"),
		"a short signature":     strings.Replace(text, `"signature": "`, `"signature": "QUJD`, 1),
		"a negative amount":     strings.Replace(text, `"pool_uatp": 1`, `"pool_uatp": -1`, 1),
		"an amount with a dot":  strings.Replace(text, `"pool_uatp": 1`, `"pool_uatp": 0.1`, 1),
		"another's signature":   strings.Replace(text, `"network": "testing"`, `"network": "testink"`, 1),
		"nothing":               "",
		"null":                  "null",
		"more than a megabyte":  text + strings.Repeat(" ", MaxGenesisBytes),
		"an amount over 64 bit": strings.Replace(text, `"pool_uatp": 1`, `"pool_uatp": 99999999999999999999`, 1),
	} {
		if bad == text {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := ParseGenesis([]byte(bad)); !errors.Is(err, ErrGenesis) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var compact bytes.Buffer
	must(t, json.Compact(&compact, file))
	if _, err := ParseGenesis(compact.Bytes()); err != nil {
		t.Errorf("without white space: %v", err)
	}
}

func TestTheFirstStateIsWhatTheGenesisSays(t *testing.T) {
	for _, admission := range []Admission{AdmitAuto, AdmitVote} {
		w := newWorld(t, 3, func(g *Genesis) { g.Params = DefaultParams(admission) })
		if err := w.state.Check(); err != nil {
			t.Fatal(err)
		}
		totals := w.state.Totals()
		want := atp.Totals{Supply: 1_003_000 * atp.ATP, Available: 2_900 * atp.ATP, Bonded: 100 * atp.ATP, Pool: 1_000_000 * atp.ATP}
		if totals != want {
			t.Errorf("%s: totals %+v, want %+v", admission, totals, want)
		}
		a, err := w.state.Account(w.keys[0].id)
		if want := (atp.Account{Available: 900 * atp.ATP, Bonded: 100 * atp.ATP}); err != nil || a != want {
			t.Errorf("the validator has %+v, want %+v: %v", a, want, err)
		}
		if id, ok, err := w.state.Named("founder-2"); err != nil || !ok || id != w.keys[2].id {
			t.Errorf("founder-2 is %v, %v, %v", id, ok, err)
		}
		if name, ok, err := w.state.NameOf(w.keys[1].id); err != nil || !ok || name != "founder-1" {
			t.Errorf("the second is %q, %v, %v", name, ok, err)
		}
		if _, ok, err := w.state.Platform(w.keys[1].id); err != nil || ok {
			t.Errorf("a founder is registered before it registers: %v", err)
		}
		if set := w.state.Validators(); set.Len() != 1 || set.ID(0) != bft.ID(w.keys[0].id) {
			t.Errorf("validators %v", set.IDs())
		}
		if tip := w.state.Tip(); tip.Height != 0 || tip.Time != epoch || genesisHash(tip.ID) != w.state.Genesis() {
			t.Errorf("tip %+v", tip)
		}
		if _, ok, err := w.state.NextDue(); ok || err != nil {
			t.Errorf("something is due: %v", err)
		}
		if w.state.Params().Economy != task.DefaultEconomy() {
			t.Error("the economy is not the genesis's")
		}
	}
}
