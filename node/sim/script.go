package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
)

// Script is a schedule that is kept: a plan and the seed of everything that it
// leaves open. It is the same as long as what it draws is drawn in the same order;
// after that it is another schedule with the same faults.
type Script struct {
	Why       string            // what it is kept for
	Kills     string            `json:",omitempty"` // the name of the mutant that it catches
	Seed      uint64            //
	Plan      Plan              //
	Byzantine map[string]string `json:",omitempty"` // behaviours by their names, of machines by number
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
	s, err := parseScript(raw)
	if err != nil {
		return Script{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// parseScript reads a script that a schedule can follow, and nothing else.
func parseScript(raw []byte) (Script, error) {
	var s Script
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Script{}, fmt.Errorf("sim: a script: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Script{}, errors.New("sim: a script: something follows it")
	}
	return s, s.check()
}

// The most that a script may ask for. Nothing that a seed draws comes near it, and
// no number of the world's gets too large.
const (
	maxTime    = 3_600_000 // of anything that goes on, in milliseconds
	maxDelay   = 60_000    // of a message, a view timer, a step or a sync, in milliseconds
	maxWishes  = 1_000     // of clients, of one kind
	maxEffects = 100_000   // until a machine ends
	maxClock   = 30 * day  // that one fault moves a clock by, either way
	maxFaults  = 400       // at most so many times maxClock is less than the epoch
)

// check reports what no schedule can do, and casts the adversaries.
func (s *Script) check() error {
	p := &s.Plan
	for _, n := range []struct {
		name              string
		have, least, most int64
	}{
		{"Validators", int64(p.Validators), 1, MaxValidators},
		{"Observers", int64(p.Observers), 0, MaxValidators},
		{"Base", number(p.Base), 1, maxDelay},
		{"MaxDelay", number(p.MaxDelay), 0, maxDelay},
		{"Loss", int64(p.Loss), 0, 100},
		{"Duplicates", int64(p.Duplicates), 0, 100},
		{"Spikes", int64(p.Spikes), 0, 100},
		{"Skew", p.Skew, 0, maxTime},
		{"Faults", number(p.Faults), 2, maxTime},
		{"Submissions", int64(p.Submissions), 0, maxWishes},
		{"Leaves", int64(p.Leaves), 0, maxWishes},
		{"Rotations", int64(p.Rotations), 0, maxWishes},
		{"the faults of Script", int64(len(p.Script)), 0, maxFaults},
	} {
		if err := within(n.name, n.have, n.least, n.most); err != nil {
			return fmt.Errorf("sim: Plan: %w", err)
		}
	}
	if n := len(p.Access); n > 0 && n != p.Machines() {
		return fmt.Errorf("sim: Plan: Access: how %d machines are connected, and there are %d", n, p.Machines())
	}
	for i, a := range p.Access {
		if int(a) >= len(accessNames) {
			return fmt.Errorf("sim: Plan: Access: machine %d: have %d, want 0 to %d", i, a, len(accessNames)-1)
		}
	}
	for i, f := range p.Script {
		if err := f.check(p); err != nil {
			return fmt.Errorf("sim: Plan: Script: fault %d: %w", i+1, err)
		}
	}
	return s.casting()
}

// within fails if a number of a script is out of bounds.
func within(name string, have, least, most int64) error {
	if have < least || have > most {
		return fmt.Errorf("%s: have %d, want %d to %d", name, have, least, most)
	}
	return nil
}

// number is a span as it is compared. Those too large for it are too large.
func number(d atp.Span) int64 { return int64(min(d, math.MaxInt64)) }

// casting has machines misbehave as the script says. Those of one script that
// collude do so with each other.
func (s *Script) casting() error {
	list := roles()
	for _, number := range slices.Sorted(maps.Keys(s.Byzantine)) {
		i, err := strconv.Atoi(number)
		if err != nil || strconv.Itoa(i) != number || i < 0 || i >= s.Plan.Machines() {
			return fmt.Errorf("sim: Byzantine: machine %q, and there are 0 to %d", number, s.Plan.Machines()-1)
		}
		name := s.Byzantine[number]
		at := slices.IndexFunc(list, func(r role) bool { return r.name == name })
		if at < 0 {
			return fmt.Errorf("sim: Byzantine: machine %d: no behaviour is called %q; there are %s", i, name, strings.Join(roleNames(), ", "))
		}
		if s.Plan.Adversaries == nil {
			s.Plan.Adversaries = make(map[int]func() Behaviour)
		}
		s.Plan.Adversaries[i] = list[at].make
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
