package task_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

const supply = 1_000_000 * atp.ATP

func TestEveryFieldOfTheTermsIsBounded(t *testing.T) {
	dag := atp.Sum([]byte("x"))
	blob := atp.SumBlob([]byte("x"))
	for _, tt := range []struct {
		name   string
		change func(*task.Terms)
		want   error
	}{
		{"a task of any type", func(t *task.Terms) { t.Type = "poetry-2" }, nil},
		{"no type", func(t *task.Terms) { t.Type = "" }, task.ErrTerms},
		{"a type with a slash", func(t *task.Terms) { t.Type = "a/b" }, task.ErrTerms},
		{"a type that is not text", func(t *task.Terms) { t.Type = "a\xff" }, task.ErrTerms},
		{"a type of 33", func(t *task.Terms) { t.Type = task.Type(strings.Repeat("a", 33)) }, task.ErrTerms},
		{"a runtime with a model", func(t *task.Terms) { t.Runtime = "openai:llama3.1:8b" }, nil},
		{"no runtime", func(t *task.Terms) { t.Runtime = "" }, task.ErrTerms},
		{"a runtime in capitals", func(t *task.Terms) { t.Runtime = "WASM" }, task.ErrTerms},
		{"an unknown complexity", func(t *task.Terms) { t.Complexity = "huge" }, task.ErrTerms},
		{"an unknown spatial horizon", func(t *task.Terms) { t.Horizon.Spatial = "" }, task.ErrTerms},
		{"an unknown temporal horizon", func(t *task.Terms) { t.Horizon.Temporal = "year" }, task.ErrTerms},
		{"an unknown complexity horizon", func(t *task.Terms) { t.Horizon.Complexity = "world" }, task.ErrTerms},
		{"no program", func(t *task.Terms) { t.Program = cid.Undef }, task.ErrTerms},
		{"a program that is no blob", func(t *task.Terms) { t.Program = dag }, task.ErrTerms},
		{"no input", func(t *task.Terms) { t.Input = cid.Undef }, task.ErrTerms},
		{"an input that is no blob", func(t *task.Terms) { t.Input = dag }, task.ErrTerms},
		{"an input of 1 GiB", func(t *task.Terms) { t.InputSize = task.MaxBlob }, nil},
		{"an input above 1 GiB", func(t *task.Terms) { t.InputSize = task.MaxBlob + 1 }, task.ErrTerms},
		{"no memory", func(t *task.Terms) { t.Memory = 0 }, task.ErrTerms},
		{"memory of half a page", func(t *task.Terms) { t.Memory = task.Page * 3 / 2 }, task.ErrTerms},
		{"memory above 4 GiB", func(t *task.Terms) { t.Memory = task.MaxMemory + task.Page }, task.ErrTerms},
		{"no price", func(t *task.Terms) { t.Price = 0 }, task.ErrTerms},
		{"the least price", func(t *task.Terms) { t.Price = 1 }, nil},
		{"the whole supply as price", func(t *task.Terms) { t.Price = supply }, nil},
		{"a price above the supply", func(t *task.Terms) { t.Price = supply + 1 }, task.ErrTerms},
		{"the least quality", func(t *task.Terms) { t.MinQuality = 500_000 }, nil},
		{"less than the least quality", func(t *task.Terms) { t.MinQuality = 499_999 }, task.ErrTerms},
		{"the whole as quality", func(t *task.Terms) { t.MinQuality = task.S }, nil},
		{"more than the whole", func(t *task.Terms) { t.MinQuality = task.S + 1 }, task.ErrTerms},
		{"an unknown class", func(t *task.Terms) { t.Class = "trust" }, task.ErrTerms},
		{"class recompute", func(t *task.Terms) { t.Class = task.Recompute }, nil},
		{"class checker", func(t *task.Terms) { t.Class, t.Checker = task.Checker, &blob }, nil},
		{"class judge", func(t *task.Terms) { t.Class = task.Judge }, nil},
		{"class judge at its highest quality", func(t *task.Terms) { t.Class, t.MinQuality = task.Judge, 900_000 }, nil},
		{"class judge above its highest quality", func(t *task.Terms) { t.Class, t.MinQuality = task.Judge, 900_001 }, task.ErrTerms},
		{"class recompute for long", func(t *task.Terms) { t.Class, t.ExecutionWindow = task.Recompute, 300_001 }, task.ErrTerms},
		{"witnesses for less than 1 ATP", func(t *task.Terms) { t.Class, t.Price = task.Recompute, atp.ATP-1 }, task.ErrTerms},
		{"witnesses for more than 16 MiB", func(t *task.Terms) { t.Class, t.InputSize = task.Recompute, 16*task.MiB+1 }, task.ErrTerms},
		{"class checker without one", func(t *task.Terms) { t.Class = task.Checker }, task.ErrTerms},
		{"a checker that is no blob", func(t *task.Terms) { t.Class, t.Checker = task.Checker, &dag }, task.ErrTerms},
		{"a checker that nobody runs", func(t *task.Terms) { t.Checker = &blob }, task.ErrTerms},
		{"a private task", func(t *task.Terms) { t.Private, t.Executor.ID = true, bob }, nil},
		{"a private task for whoever comes first", func(t *task.Terms) { t.Private = true }, task.ErrTerms},
		{"a private task with witnesses", func(t *task.Terms) { t.Private, t.Executor.ID, t.Class = true, bob, task.Recompute }, task.ErrTerms},
		{"the shortest windows", func(t *task.Terms) { t.OfferWindow, t.ExecutionWindow = 5_000, 5_000 }, nil},
		{"the longest windows", func(t *task.Terms) { t.OfferWindow, t.ExecutionWindow = atp.Day, atp.Day }, nil},
		{"too short an offer", func(t *task.Terms) { t.OfferWindow = 4_999 }, task.ErrTerms},
		{"too long an offer", func(t *task.Terms) { t.OfferWindow = atp.Day + 1 }, task.ErrTerms},
		{"too short an execution", func(t *task.Terms) { t.ExecutionWindow = 4_999 }, task.ErrTerms},
		{"too long an execution", func(t *task.Terms) { t.ExecutionWindow = atp.Day + 1 }, task.ErrTerms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			terms := terms()
			tt.change(&terms)
			if err := terms.Validate(task.DefaultEconomy(), supply); !errors.Is(err, tt.want) {
				t.Errorf("have %v, want %v", err, tt.want)
			}
		})
	}
}

func TestATaskIsNamedByAllThatMakesIt(t *testing.T) {
	base := task.Posting{Genesis: [32]byte{1}, Requester: alice, Nonce: 1, Index: 1, Terms: terms()}
	seen := map[cid.Cid]string{idOf(base): "the posting itself"}
	if err := atp.CheckCID(idOf(base), cid.DagCBOR); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*task.Posting){
		"another chain":     func(p *task.Posting) { p.Genesis[31] = 1 },
		"another requester": func(p *task.Posting) { p.Requester = bob },
		"another nonce":     func(p *task.Posting) { p.Nonce = 2 },
		"another operation": func(p *task.Posting) { p.Index = 2 },
		"another price":     func(p *task.Posting) { p.Terms.Price++ },
		"another executor":  func(p *task.Posting) { p.Terms.Executor.ID = bob },
		"another class":     func(p *task.Posting) { p.Terms.Class = task.Judge },
	} {
		p := base
		change(&p)
		if other, ok := seen[idOf(p)]; ok {
			t.Errorf("%s has the ID of %s", name, other)
		}
		seen[idOf(p)] = name
	}
	if id, err := (task.Posting{Requester: alice}).ID(); !errors.Is(err, task.ErrTerms) {
		t.Errorf("terms without a program: have %v, %v, want %v", id, err, task.ErrTerms)
	}
}

func TestHorizonsLieWithinOneAnother(t *testing.T) {
	wide := task.Horizon{Spatial: task.Regional, Temporal: task.DayLong, Complexity: task.Agent}
	for _, tt := range []struct {
		h    task.Horizon
		want bool
	}{
		{wide, true},
		{task.Horizon{Spatial: task.Local, Temporal: task.Ephemeral, Complexity: task.Simple}, true},
		{task.Horizon{Spatial: task.Global, Temporal: task.Ephemeral, Complexity: task.Simple}, false},
		{task.Horizon{Spatial: task.Local, Temporal: task.Epoch, Complexity: task.Simple}, false},
		{task.Horizon{Spatial: task.Local, Temporal: task.Ephemeral, Complexity: task.SocietyWide}, false},
		{task.Horizon{}, false},
	} {
		if got := tt.h.Within(wide); got != tt.want {
			t.Errorf("%v within %v: have %v, want %v", tt.h, wide, got, tt.want)
		}
	}
}

func TestAProofIsBounded(t *testing.T) {
	claim := task.S
	for _, tt := range []struct {
		name   string
		class  task.Class
		change func(*task.Proof)
		want   error
	}{
		{"a result", task.Mutual, func(*task.Proof) {}, nil},
		{"the record of a failed program", task.Mutual, func(p *task.Proof) { p.Result = atp.Sum([]byte("failed")) }, nil},
		{"no result", task.Mutual, func(p *task.Proof) { p.Result = cid.Undef }, task.ErrProof},
		{"a result of 1 GiB", task.Mutual, func(p *task.Proof) { p.Size = task.MaxBlob }, nil},
		{"a result above 1 GiB", task.Mutual, func(p *task.Proof) { p.Size = task.MaxBlob + 1 }, task.ErrProof},
		{"a result above 16 MiB for witnesses", task.Judge, func(p *task.Proof) { p.Size = 16*task.MiB + 1 }, task.ErrProof},
		{"convergence above the whole", task.Mutual, func(p *task.Proof) { p.Record.Convergence = task.S + 1 }, task.ErrProof},
		{"a claim", task.Mutual, func(p *task.Proof) { p.Claim = &claim }, nil},
		{"a claim to judges", task.Judge, func(p *task.Proof) { p.Claim = &claim }, nil},
		{"a claim where the quality is computed", task.Recompute, func(p *task.Proof) { p.Claim = &claim }, task.ErrProof},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := proof()
			tt.change(&p)
			if err := p.Validate(task.Terms{Class: tt.class}); !errors.Is(err, tt.want) {
				t.Errorf("have %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAnEconomyReportsEveryProblem(t *testing.T) {
	if err := task.DefaultEconomy().Validate(); err != nil {
		t.Error(err)
	}
	bad := task.Economy{
		Fee: 1_001, SeatFee: 1_001, LateCharge: 1_000, DisputeBond: 10_001, LeastAudit: task.S + 1, PoolAudit: task.S + 1,
		Unaudited: task.S + 1, Decay: task.S, MinWindow: 2, MaxWindow: 1, OfferWindow: 3, ExecutionWindow: 3, RecomputeWindow: 3,
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("have no error, want one for every parameter")
	}
	for _, field := range []string{
		"fee_bp", "seat_fee_bp", "late_charge_bp", "dispute_bond_bp", "least_charge_uatp", "least_audit_ppm", "pool_audit_ppm",
		"unaudited_ppm", "decay_ppm", "min_window_ms", "offer_window_ms", "execution_window_ms", "recompute_window_ms", "silence_ms",
	} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not reported in:\n%v", field, err)
		}
	}
	bad = task.DefaultEconomy()
	bad.MaxWindow = 367 * atp.Day
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "max_window_ms") {
		t.Errorf("have %v, want max_window_ms to be reported", err)
	}
}
