package sim

import (
	"fmt"

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

// day is in milliseconds.
const day = 24 * 60 * 60 * 1000

// label is what the summary calls the fault.
func (f Fault) label() string {
	size, way := "", ""
	switch f.Kind {
	case FaultPartition, FaultOneWay:
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
	case FaultPartition, FaultOneWay:
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
// from those to these, for a while.
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
		s.goesWrong(nil, "the partition is over")
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
