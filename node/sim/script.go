package sim

import (
	"encoding/json"
	"fmt"
	"os"
)

// Script is a schedule that is kept: a plan and the seed of everything that it
// leaves open. It is the same as long as what it draws is drawn in the same order;
// after that it is another schedule with the same faults.
type Script struct {
	Why       string            // what it is kept for
	Kills     string            `json:",omitempty"` // the name of the mutant that it catches
	Seed      uint64            //
	Plan      Plan              //
	Byzantine map[string]string `json:",omitempty"` // behaviours by the name of their type, of machines by number
}

// NewScript returns the script of a plan.
func NewScript(why string, seed uint64, p Plan) Script {
	s := Script{Why: why, Seed: seed, Plan: p}
	for i, b := range p.Adversaries {
		if s.Byzantine == nil {
			s.Byzantine = make(map[string]string)
		}
		s.Byzantine[fmt.Sprint(i)] = nameOf(b())
	}
	return s
}

// ReadScript reads a script from a file.
func ReadScript(path string) (Script, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Script{}, err
	}
	var s Script
	if err := json.Unmarshal(raw, &s); err != nil {
		return Script{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := s.check(); err != nil {
		return Script{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// check reports what no schedule can do, and casts the adversaries.
func (s *Script) check() error {
	p := &s.Plan
	if p.Validators < 1 || p.Machines() > 2*MaxValidators || p.Observers < 0 || p.Faults < 2 {
		return fmt.Errorf("sim: a script of %d validators and %d observers, with faults for %d ms", p.Validators, p.Observers, p.Faults)
	}
	if n := len(p.Access); n > 0 && n != p.Machines() {
		return fmt.Errorf("sim: how %d machines are connected, and there are %d", n, p.Machines())
	}
	for _, a := range p.Access {
		if int(a) >= len(accessNames) {
			return fmt.Errorf("sim: access %d", a)
		}
	}
	for _, f := range p.Script {
		if _, named := placeNamed(f.Place); !named && f.Place != "" {
			return fmt.Errorf("sim: a %s at %q, which is no place", f.Kind, f.Place)
		}
		if f.At < 1 && f.Kind == FaultRestore {
			return fmt.Errorf("sim: a %s at the beginning, before there is an image", f.Kind)
		}
		for _, i := range f.On {
			if i < 0 || i >= p.Machines() {
				return fmt.Errorf("sim: a %s of machine %d, and there are %d", f.Kind, i, p.Machines())
			}
		}
	}
	return s.casting()
}

func (s *Script) casting() error {
	kinds := behaviours()
	for number, name := range s.Byzantine {
		var i int
		if _, err := fmt.Sscan(number, &i); err != nil || i < 0 || i >= s.Plan.Machines() {
			return fmt.Errorf("sim: behaviour of machine %q", number)
		}
		for _, k := range kinds {
			if nameOf(k()) != name {
				continue
			}
			if s.Plan.Adversaries == nil {
				s.Plan.Adversaries = make(map[int]func() Behaviour)
			}
			s.Plan.Adversaries[i] = k
		}
		if s.Plan.Adversaries[i] == nil {
			return fmt.Errorf("sim: no behaviour is called %q", name)
		}
	}
	return nil
}

// Encode returns the script as it is kept in a file.
func (s Script) Encode() ([]byte, error) {
	raw, err := json.MarshalIndent(s, "", "  ")
	return append(raw, '\n'), err
}

// Size counts what a reader has to follow: machines, faults, adversaries, what
// clients do, and troubles of the links.
func (s Script) Size() int {
	p := s.Plan
	n := p.Machines() + len(p.Script) + len(p.Adversaries) + p.Submissions + p.Leaves
	for _, on := range []bool{p.Loss > 0, p.Duplicates > 0, p.Spikes > 0, p.Skew > 0, p.Encode, p.Real, p.Tasks, p.Joins, len(p.Access) > 0} {
		if on {
			n++
		}
	}
	return n
}
