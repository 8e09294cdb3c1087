package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/replica"
)

// Line is one thing that happens in a schedule, for a reader.
type Line struct {
	AtMS    atp.Span `json:"at_ms"`             // since the beginning, in the world's time
	Machine int      `json:"machine"`           // to whom; -1: to all
	Fault   bool     `json:"fault,omitempty"`   // it goes wrong
	Verdict bool     `json:"verdict,omitempty"` // the judge says so
	Text    string   `json:"text"`
}

// storyWidth is how wide a line is at most, and storyIndent what comes before
// its text.
const storyWidth, storyIndent = 80, 16

// String returns the line as it is printed, in as many lines of 80 columns as it
// takes.
func (l Line) String() string {
	who := "  "
	if l.Machine >= 0 {
		who = fmt.Sprintf("%2d", l.Machine)
	}
	mark := " "
	if l.Fault {
		mark = "!"
	}
	head := fmt.Sprintf("%7d.%03d  %s %s ", l.AtMS/1000, l.AtMS%1000, who, mark)
	var b strings.Builder
	line := head
	for i, word := range strings.Fields(l.Text) {
		if i > 0 && len([]rune(line))+1+len([]rune(word)) > storyWidth {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line = strings.Repeat(" ", storyIndent)
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	return b.String() + line
}

// tells reports whether anyone reads the story: its lines cost more than what
// they tell.
func (s *Sim) tells() bool { return s.story != nil }

// happens tells what a machine, nil for all, does.
func (s *Sim) happens(m *machine, format string, args ...any) {
	s.line(m, Line{}, format, args...)
}

// goesWrong tells of a fault.
func (s *Sim) goesWrong(m *machine, format string, args ...any) {
	s.line(m, Line{Fault: true}, format, args...)
}

func (s *Sim) line(m *machine, l Line, format string, args ...any) {
	if s.story == nil {
		return
	}
	l.AtMS, l.Machine, l.Text = atp.Span(s.World.Now()-opening), -1, fmt.Sprintf(format, args...)
	if m != nil {
		l.Machine = m.index
	}
	s.story(l)
}

// Describe tells what a plan is, in lines.
func (p Plan) Describe() (lines []string) {
	clock := "clocks that are right are off by up to %d ms"
	lines = append(lines, fmt.Sprintf("%d validators, %d observers; %d wishes of clients; faults for %d ms; "+clock,
		p.Validators, p.Observers, p.Submissions, p.Faults, p.Skew))
	links := fmt.Sprintf("links lose %d %%, repeat %d %%, delay %d %% by up to 20 times as long", p.Loss, p.Duplicates, p.Spikes)
	if len(p.Access) == 0 {
		links += "; all on a LAN"
	}
	lines = append(lines, links)
	for a, name := range accessNames {
		var on []string
		for i, b := range p.Access {
			if int(b) == a {
				on = append(on, fmt.Sprint(i))
			}
		}
		if len(on) > 0 {
			lines = append(lines, fmt.Sprintf("on %s: machines %s", name, strings.Join(on, ", ")))
		}
	}
	for _, i := range slices.Sorted(maps.Keys(p.Adversaries)) {
		lines = append(lines, fmt.Sprintf("machine %d is an adversary: %s", i, nameOf(p.Adversaries[i]())))
	}
	return lines
}

// tell says what a fault does, and to whom.
func (f Fault) tell() string {
	who := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(f.On)), ", "), "[]")
	noticed := ", and no transport notices"
	if f.Told {
		noticed = ", and transports notice"
	}
	switch f.Kind {
	case FaultCrash:
		return fmt.Sprintf("power of %s will fail %s, for %d ms", who, f.where(), f.For)
	case FaultKill:
		return fmt.Sprintf("the process of %s will be killed %s, and is back after %d ms", who, f.where(), f.For)
	case FaultIO:
		return fmt.Sprintf("the disk of %s will fail %s; the process is back after %d ms", who, f.where(), f.For)
	case FaultFull:
		return fmt.Sprintf("the disk of %s will be full %s; the process is back after %d ms", who, f.where(), f.For)
	case FaultSlowDisk:
		return fmt.Sprintf("disks of {%s} take up to %d ms to sync, for %d ms", who, f.By, f.For)
	case FaultFlip:
		return fmt.Sprintf("a bit turns on the disk of %s, unless the others need what is there", who)
	case FaultRestore:
		return fmt.Sprintf("the disk of %s is put back to an older image, if there is one and the others can spare it; it is off for %d ms", who, f.For)
	case FaultPartition:
		return fmt.Sprintf("nothing passes between {%s} and the others, for %d ms%s", who, f.For, noticed)
	case FaultOneWay:
		return fmt.Sprintf("nothing passes from {%s} to the others, for %d ms%s", who, f.For, noticed)
	case FaultClock:
		return fmt.Sprintf("clocks of {%s} are set by %+d ms, for %d ms", who, f.By, f.For)
	case FaultSlow:
		return fmt.Sprintf("{%s} take %d ms for every step, for %d ms", who, f.By, f.For)
	}
	return string(f.Kind)
}

// where says at which boundary a machine ends.
func (f Fault) where() string {
	if f.Place != "" {
		return "when it comes to: " + f.Place
	}
	return fmt.Sprintf("%d effects from now", f.By)
}

// tellSigned tells what a machine has signed.
func (j *judge) tellSigned(m *machine, u bft.Unsigned) {
	if !j.sim.tells() {
		return
	}
	text := fmt.Sprintf("signs %v of height %d, view %d", u.Kind, u.Height, u.View)
	switch u.Kind {
	case bft.KindTimeout:
		text += ": gives the view up"
		if u.HighView != bft.NoView {
			text += fmt.Sprintf(", has a QC of view %d", u.HighView)
		}
	default:
		text += fmt.Sprintf(" for block %s", short(u.Block.KeyString()))
	}
	j.sim.happens(m, "%s", text)
}

// wanted says what a machine asks for.
func wanted(w replica.Want) string {
	switch {
	case !w.Range.IsZero():
		return fmt.Sprintf("the blocks of heights %d to %d", w.Range.From, w.Range.To)
	case w.Block.Defined():
		return "block " + short(w.Block.KeyString())
	}
	return fmt.Sprintf("%d transactions", len(w.Txs))
}

// wish tells what a client wants.
func (s *Sim) wish(m *machine, tx chain.VerifiedTx) {
	if !s.tells() {
		return
	}
	what := strings.TrimPrefix(fmt.Sprintf("%T", tx.Tx().Ops[0].Action), "*chain.")
	if t, ok := tx.Tx().Ops[0].Action.(*chain.Transfer); ok {
		what += fmt.Sprintf(" of %s ATP to %d", t.Amount, s.machine(bft.ID(t.To)).index)
	}
	s.happens(m, "its client wants a %s (transaction %s, nonce %d)", what, short(tx.ID().KeyString()), tx.Tx().Nonce)
}

// Laws are what is checked of every schedule, in words.
func Laws() []string {
	return []string{
		"A1  one block at each height, with a quorum of its set",
		"A2  balances, locks, bonds, pool and discharge are the supply",
		"A3  each lock ends once",
		"A6  no machine contradicts what it signed",
		"A7  what was published is there after every restart",
		"J1  nothing is voted for that is not on the disk",
		"J6  when everything is final, no correct machine says anything unasked",
		"liveness  what was taken in is final everywhere, in time",
	}
}
