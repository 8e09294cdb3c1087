package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// FaultKind names what goes wrong.
type FaultKind string

// What may go wrong at a time that the plan says.
const (
	FaultCrash     FaultKind = "crash"      // power fails By effects later or at the Place, and is back after For
	FaultKill      FaultKind = "kill"       // the process ends there, and the disk keeps what was written
	FaultIO        FaultKind = "disk-error" // a write or a sync fails there, which ends the process
	FaultFull      FaultKind = "disk-full"  // the same, where the store grows
	FaultSlowDisk  FaultKind = "slow-disk"  // a sync takes up to By milliseconds
	FaultFlip      FaultKind = "bit-flip"   // a bit of the disk turns
	FaultRestore   FaultKind = "restore"    // the disk is put back to an older image of itself, and the machine is off for For
	FaultPartition FaultKind = "partition"  // nothing passes between On and the others
	FaultOneWay    FaultKind = "one-way"    // nothing passes from On to the others
	FaultDeaf      FaultKind = "deaf"       // nothing passes from the others to On
	FaultClock     FaultKind = "clock"      // the clocks of On are By milliseconds ahead, or behind if negative
	FaultSlow      FaultKind = "slow"       // every step, and every check, takes By milliseconds
)

// Fault is one thing that goes wrong.
type Fault struct {
	Kind FaultKind
	On   []int    // machines
	At   atp.Span // since the beginning
	For  atp.Span // until it is over; all is over when the faults stop
	By   int64    `json:",omitempty"` // of what it is, see the kinds

	Place string `json:",omitempty"` // the boundary at which it happens, whatever By says
	Told  bool   `json:",omitempty"` // of a partition: transports notice it
}

// bounds are the kinds of faults, and between what their By is.
var bounds = map[FaultKind]struct{ least, most int64 }{
	FaultCrash:     {0, maxEffects},
	FaultKill:      {0, maxEffects},
	FaultIO:        {0, maxEffects},
	FaultFull:      {0, maxEffects},
	FaultSlowDisk:  {0, maxDelay},
	FaultFlip:      {},
	FaultRestore:   {},
	FaultPartition: {},
	FaultOneWay:    {},
	FaultDeaf:      {},
	FaultClock:     {-maxClock, maxClock},
	FaultSlow:      {0, maxDelay},
}

// check fails if no schedule of a plan can have the fault.
func (f Fault) check(p *Plan) error {
	by, known := bounds[f.Kind]
	if !known {
		return fmt.Errorf("in Kind: there is no %q; there are %s", f.Kind, strings.Join(faultKinds(), ", "))
	}
	if len(f.On) == 0 {
		return fmt.Errorf("in On: a %s of no machine", f.Kind)
	}
	for i, m := range f.On {
		if m < 0 || m >= p.Machines() || slices.Contains(f.On[:i], m) {
			return fmt.Errorf("in On: machine %d; there are 0 to %d, each once", m, p.Machines()-1)
		}
	}
	least := int64(0)
	if f.Kind == FaultRestore { // before that there is no image
		least = 1
	}
	for _, err := range []error{
		within("At", number(f.At), least, number(p.Faults)),
		within("For", number(f.For), 0, maxTime),
		within("By of a "+string(f.Kind), f.By, by.least, by.most),
		f.checkPlace(),
	} {
		if err != nil {
			return err
		}
	}
	if f.Told && f.Kind != FaultPartition && f.Kind != FaultOneWay && f.Kind != FaultDeaf {
		return fmt.Errorf("in Told: transports notice no %s", f.Kind)
	}
	return nil
}

// checkPlace fails if the fault does not come to its place.
func (f Fault) checkPlace() error {
	failure, ends := failures[f.Kind]
	at, named := placeNamed(f.Place)
	switch {
	case f.Place == "" && ends && f.By == 0:
		return errors.New("in By: after how many effects, or Place: where")
	case f.Place == "":
		return nil
	case !named:
		return fmt.Errorf("in Place: there is no %q", f.Place)
	case !ends || !at.happens(failure):
		return fmt.Errorf("in Place: a %s does not happen at %q", f.Kind, f.Place)
	}
	return nil
}

// faultKinds are the names of all kinds, in their order.
func faultKinds() (list []string) {
	for _, k := range slices.Sorted(maps.Keys(bounds)) {
		list = append(list, string(k))
	}
	return list
}

// day is in milliseconds.
const day = 24 * 60 * 60 * 1000

// label is what the summary calls the fault.
func (f Fault) label() string {
	size, way := "", ""
	switch f.Kind {
	case FaultPartition, FaultOneWay, FaultDeaf:
		if f.Kind == FaultDeaf && len(f.On) == 1 {
			size = ", one alone"
		}
		if !f.Told {
			way = ", unnoticed"
		}
	case FaultCrash, FaultKill, FaultIO, FaultFull:
		if f.Place != "" {
			way = ", at a place"
		}
	case FaultClock:
		way = ", ahead"
		if f.By < 0 {
			way = ", behind"
		}
		if f.By <= -day || f.By >= day {
			size = ", by days"
		}
		if f.At > 0 {
			size += ", at a jump"
		}
	}
	return fmt.Sprintf("fault: %s%s%s", f.Kind, size, way)
}

// strike makes a fault happen now, and plans its end.
func (s *Sim) strike(f Fault) {
	if s.tells() {
		s.goesWrong(nil, "%s", f.tell())
	}
	var end func(m *machine)
	switch f.Kind {
	case FaultCrash, FaultKill, FaultIO, FaultFull:
		for _, i := range f.On {
			s.light(s.machines[i], f)
		}
		return
	case FaultFlip:
		for _, i := range f.On {
			s.flip(s.machines[i])
		}
		return
	case FaultRestore:
		for _, i := range f.On {
			s.restore(s.machines[i], f.For)
		}
		return
	case FaultPartition, FaultOneWay, FaultDeaf:
		s.divide(f)
		return
	case FaultClock:
		end = func(m *machine) { m.setClock(-f.By) }
	case FaultSlow:
		end = func(m *machine) { m.slow -= atp.Span(f.By) }
	case FaultSlowDisk:
		end = func(m *machine) { m.disk.slow -= atp.Span(f.By) }
	}
	for _, i := range f.On {
		m := s.machines[i]
		switch f.Kind {
		case FaultClock:
			m.setClock(f.By)
		case FaultSlow:
			m.slow += atp.Span(f.By)
		default:
			m.disk.slow += atp.Span(f.By)
		}
		over := false
		s.cure(f.For, func() {
			if !over {
				over = true
				s.goesWrong(m, "its %s fault is over", f.Kind)
				end(m)
			}
		})
	}
}

// cure ends a fault after a time, or when all faults stop.
func (s *Sim) cure(after atp.Span, end func()) {
	s.World.After(after, end)
	s.cures = append(s.cures, end)
}

// divide lets nothing pass between some machines and the others, or nothing
// from those to these, or the other way round, for a while.
func (s *Sim) divide(f Fault) {
	s.net.divide(f, 1)
	if f.Told {
		s.net.settle(50, 500)
	}
	over := false
	s.cure(f.For, func() {
		if over {
			return
		}
		over = true
		s.net.divide(f, -1)
		s.goesWrong(nil, "the partition of {%s} from the others is over", numbers(f.On))
		s.net.settle(1, 200)
	})
}

// setClock moves a machine's clock; its driver notices, if it is up.
func (m *machine) setClock(by int64) {
	m.skew += by
	if m.up {
		m.feed(replica.ClockSet{By: by})
	}
}
