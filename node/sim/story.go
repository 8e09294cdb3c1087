package sim

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"

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
	Lie     bool     `json:"lie,omitempty"`     // an adversary departs from what is correct
	Verdict bool     `json:"verdict,omitempty"` // the judge says so
	Text    string   `json:"text"`

	like string // what it has in common with those that it is folded with; "": it stands alone
}

// StoryWidth is how wide a line is at most, and storyIndent what comes before
// its text.
const StoryWidth, storyIndent = 100, 16

// String returns the line as it is printed, in as many lines of [StoryWidth] columns
// as it takes.
func (l Line) String() string {
	who := "  "
	if l.Machine >= 0 {
		who = fmt.Sprintf("%2d", l.Machine)
	}
	mark := " "
	switch {
	case l.Fault:
		mark = "!"
	case l.Lie:
		mark = "~"
	}
	head := fmt.Sprintf("%7d.%03d  %s %s ", l.AtMS/1000, l.AtMS%1000, who, mark)
	var b strings.Builder
	line := head
	for i, word := range strings.Fields(l.Text) {
		if i > 0 && len([]rune(line))+1+len([]rune(word)) > StoryWidth {
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

// lies tells what an adversary does otherwise. To each of the others it often does
// the same.
func (s *Sim) lies(m *machine, format string, args ...any) {
	if s.tells() {
		s.line(m, Line{Lie: true, like: fmt.Sprintf("%d "+format, append([]any{m.index}, args...)...)}, format, args...)
	}
}

// liesOften tells of what an adversary does so often that one stands for all.
func (s *Sim) liesOften(m *machine, format string, args ...any) {
	s.line(m, Line{Lie: true, like: fmt.Sprint(m.index, format)}, format, args...)
}

func (s *Sim) line(m *machine, l Line, format string, args ...any) {
	if s.story == nil {
		return
	}
	l.AtMS, l.Machine, l.Text = atp.Span(s.World.Now()-opening), -1, s.plain(fmt.Sprintf(format, args...))
	if m != nil {
		l.Machine = m.index
		if _, second := m.behaviour.(*half); second {
			l.Text = "on its second machine: " + l.Text
		}
	}
	s.story(l)
}

// called is what a message is called.
func called(m bft.Message) string {
	at := m.Position()
	text := fmt.Sprintf("%v of height %d, view %d", at.Kind, at.Height, at.View)
	switch m := m.(type) {
	case *bft.Proposal:
		text += " for block " + short(m.Block.KeyString())
	case *bft.Vote:
		text += " for block " + short(m.Block.KeyString())
	}
	return text
}

// who is the number of the machine of a platform.
func (s *Sim) who(id bft.ID) string {
	if m := s.machine(id); m != nil {
		return fmt.Sprint(m.index)
	}
	return "nobody"
}

// longName finds platforms and addresses in a text.
var longName = regexp.MustCompile(`12D3KooW[1-9A-Za-z]{40,}|baf[a-z2-7]{50,}`)

// plain returns a text in which platforms are the numbers of their machines, and
// addresses as short as elsewhere. Who reads it knows where an error comes from.
func (s *Sim) plain(text string) string {
	return longName.ReplaceAllStringFunc(strings.ReplaceAll(text, "sim: ", ""), func(name string) string {
		if id, err := bft.ParseID(name); err == nil {
			return s.who(id)
		}
		if id, err := cid.Decode(name); err == nil {
			return short(id.KeyString())
		}
		return name
	})
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
	who := numbers(f.On)
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
		return fmt.Sprintf("a bit is to turn on the disk of %s", who)
	case FaultRestore:
		return fmt.Sprintf("the disk of %s is to be put back to an older image, with the machine off for %d ms", who, f.For)
	case FaultPartition:
		return fmt.Sprintf("nothing passes between {%s} and the others, for %d ms%s", who, f.For, noticed)
	case FaultOneWay:
		return fmt.Sprintf("nothing passes from {%s} to the others, for %d ms%s", who, f.For, noticed)
	case FaultDeaf:
		return fmt.Sprintf("{%s} are heard and hear nothing of the others, for %d ms%s", who, f.For, noticed)
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
		if w.Range.From == w.Range.To {
			return fmt.Sprintf("the block of height %d", w.Range.From)
		}
		return fmt.Sprintf("the blocks of heights %d to %d", w.Range.From, w.Range.To)
	case w.Block.Defined():
		return "block " + short(w.Block.KeyString())
	}
	return several(len(w.Txs), "transaction")
}

// several counts things in words.
func several(n int, thing string) string {
	if n == 1 {
		return "one " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
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
		"A4  nobody pays who has not signed for it",
		"A5  every machine has the state that the final block names",
		"A6  no machine contradicts what it signed",
		"A7  what was published is there after every restart",
		"J1  nothing is voted for that is not on the disk",
		"J6  when everything is final, no correct machine says anything unasked",
		"liveness  what was taken in is final everywhere, in time",
	}
}
