package sim

import (
	"fmt"
	"maps"
	"slices"
)

// saw is something that links do to single messages.
type saw uint8

const (
	sawLoss saw = iota
	sawTwice
	sawOvertaken
	sawBurst
	sawKinds
)

var sawNames = [sawKinds]string{"a message is lost", "a message comes twice", "a message overtakes another", "a burst on Wi-Fi"}

func (j *judge) count(s saw) { j.counts[s]++ }

// table returns what the schedule has shown, and how often.
func (j *judge) table() map[string]int {
	for i, n := range j.counts {
		if n > 0 {
			j.seen[sawNames[i]] = n
		}
	}
	return j.seen
}

// kinds returns what kinds of schedule a plan is, and what goes wrong in it.
func (p Plan) kinds() (list []string) {
	list = append(list, fmt.Sprintf("schedule: of %d validators", p.Validators))
	for _, is := range []struct {
		name string
		true bool
	}{
		{"with real signatures", p.Real},
		{"with every message encoded", p.Encode},
		{"with tasks", p.Tasks},
		{"whose set changes", p.Joins},
		{"without faults", len(p.Script) == 0 && p.Loss == 0 && len(p.Adversaries) == 0},
	} {
		if is.true {
			list = append(list, "schedule: "+is.name)
		}
	}
	for a := range accessNames {
		if slices.Contains(p.Access, Access(a)) {
			list = append(list, "schedule: with machines on "+Access(a).String())
		}
	}
	for _, f := range p.Script {
		list = append(list, f.label())
	}
	for _, i := range slices.Sorted(maps.Keys(p.Adversaries)) {
		list = append(list, "byzantine: "+nameOf(p.Adversaries[i]()))
	}
	return list
}
