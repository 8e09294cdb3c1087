package chain

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/task"
)

// Check reports every problem of g but those of its signatures.
func (g Genesis) Check() error {
	var errs []error
	report := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrGenesis}, args...)...))
	}
	if g.Version != GenesisVersion {
		report("version: have %d, want %d", g.Version, GenesisVersion)
	}
	if err := task.Name(g.Network).Check(); err != nil {
		report("network: %w", err)
	}
	if g.Time == 0 {
		report("time: have 0, want milliseconds since 1970")
	}
	if g.Time > MaxGenesisTime {
		report("time: have %d, want at most %d, the year 3000", g.Time, MaxGenesisTime)
	}
	if err := g.Params.Validate(); err != nil {
		report("params: %w", err)
	}
	g.checkFounders(report)
	g.checkValidators(report)
	g.checkMoney(report)
	return errors.Join(errs...)
}

type reporter func(format string, args ...any)

func (g Genesis) checkFounders(report reporter) {
	if n := len(g.Founders); n == 0 || n > MaxFounders {
		report("founders: have %d, want 1 to %d", n, MaxFounders)
		return
	}
	names := make(map[string]bool)
	for i, f := range g.Founders {
		if i > 0 && atp.Compare(g.Founders[i-1].ID, f.ID) >= 0 {
			report("founders: %s is listed twice or out of order", f.ID)
		}
		if f.ID.IsZero() {
			report("founder %d has no ID", i)
		}
		if err := task.Name(f.Name).Check(); err != nil {
			report("founder %d: %w", i, err)
		}
		if names[f.Name] {
			report("founders: two are named %q", f.Name)
		}
		names[f.Name] = true
	}
}

func (g Genesis) checkValidators(report reporter) {
	if n := len(g.Validators); n == 0 || n > MaxFounders {
		report("validators: have %d, want 1 to %d", n, MaxFounders)
		return
	}
	for i, id := range g.Validators {
		if i > 0 && atp.Compare(g.Validators[i-1], id) >= 0 {
			report("validators: %s is listed twice or out of order", id)
		}
		if !slices.ContainsFunc(g.Founders, func(f Founder) bool { return f.ID == id }) {
			report("validators: %s is not a founder", id)
		}
		if have := g.allocated(id); have < g.Params.ValidatorBond {
			report("validators: %s has %s ATP, want its bond of %s ATP", id, have, g.Params.ValidatorBond)
		}
	}
}

func (g Genesis) checkMoney(report reporter) {
	if n := len(g.Allocations); n > MaxAllocations {
		report("allocations: have %d, want at most %d", n, MaxAllocations)
		return
	}
	for i, a := range g.Allocations {
		if i > 0 && atp.Compare(g.Allocations[i-1].To, a.To) >= 0 {
			report("allocations: %s is listed twice or out of order", a.To)
		}
		if a.To.IsZero() || a.Amount == 0 {
			report("allocation %d: have %s ATP for %q, want some for someone", i, a.Amount, a.To.ID)
		}
	}
	if supply, err := g.supply(); err != nil {
		report("supply: %w", err)
	} else if supply == 0 {
		report("supply: there is no ATP at all")
	}
}

func (g Genesis) allocated(to atp.ID) atp.Amount {
	for _, a := range g.Allocations {
		if a.To == to {
			return a.Amount
		}
	}
	return 0
}

// supply returns all the ATP there will ever be.
func (g Genesis) supply() (atp.Amount, error) {
	sum := g.Pool
	for _, a := range g.Allocations {
		var err error
		if sum, err = sum.Add(a.Amount); err != nil {
			return 0, err
		}
	}
	return sum, nil
}
