package bft

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestStories plays the scripts in testdata/stories. Commands, with validators
// named by their index, which is also the first view that they lead:
//
//	cluster n=4 [byzantine=0] [withhold=1]   new machines; the byzantine one is ours to play
//	work 0 1                                 the application has something to do
//	deliver [from= to= kind= view=]          hand out what matches, and what follows
//	drop [from= to= kind= view=]             lose what matches
//	fire 0 1 timer=view|half|repeat          timers run out
//	crash 1 / restart 1                      nothing but the record is left
//	gone 0 1 leader=2                        0 and 1 lose their connections to 2
//	answer 1 [verdict=untimely]              withheld answers of the application
//	forge PREPARE by=0 view=0 block=x to=1   the byzantine validator speaks
//	showtc by=0 view=0 of=0,2,3 to=1         … passes on a TC made of Timeouts sent
//	showqc by=0 view=0 block=x to=1          … passes on a QC made of PREPAREs sent
//	showcert by=0 view=0 block=x to=1        … passes on a CommitCert made of COMMITs sent
//	state                                    where everyone stands
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := story{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "cluster" {
				s.cluster = s.newCluster(t, d)
			}
			s.t = t
			s.trace = &strings.Builder{}
			s.play(d)
			s.agree()
			if s.trace.Len() == 0 {
				return "nothing happens\n"
			}
			return s.trace.String()
		})
	})
}

type story struct {
	*cluster
	t testing.TB
}

func (s *story) newCluster(t *testing.T, d *datadriven.TestData) *cluster {
	var n, byzantine int
	d.ScanArgs(t, "n", &n)
	c := newCluster(t, n)
	if d.HasArg("byzantine") {
		d.ScanArgs(t, "byzantine", &byzantine)
		c.members[byzantine].down = true
	}
	for _, i := range numbers(t, d, "withhold") {
		c.members[i].mute = true
	}
	for i, m := range c.members {
		if !m.down {
			c.start(i)
		}
	}
	return c
}

// numbers reads the argument key=1,2,3.
func numbers(t testing.TB, d *datadriven.TestData, key string) []int {
	var list []int
	for _, a := range d.CmdArgs {
		if a.Key != key {
			continue
		}
		for _, v := range a.Vals {
			for _, field := range strings.Split(v, ",") {
				n, err := strconv.Atoi(field)
				if err != nil {
					t.Fatalf("%s: %s: %v", d.Pos, key, err)
				}
				list = append(list, n)
			}
		}
	}
	return list
}

// named lists the validators that stand alone in the command.
func named(d *datadriven.TestData) []int {
	var list []int
	for _, a := range d.CmdArgs {
		if n, err := strconv.Atoi(a.Key); err == nil && len(a.Vals) == 0 {
			list = append(list, n)
		}
	}
	return list
}

func word(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return ""
}

func (s *story) match(d *datadriven.TestData) func(parcel) bool {
	from, to, views, kind := numbers(s.t, d, "from"), numbers(s.t, d, "to"), numbers(s.t, d, "view"), word(d, "kind")
	in := func(list []int, n int) bool { return len(list) == 0 || slices.Contains(list, n) }
	return func(p parcel) bool {
		at := p.message.Message().Position()
		return in(from, p.from) && in(to, p.to) && in(views, int(at.View)) && (kind == "" || kind == at.Kind.String())
	}
}

func (s *story) play(d *datadriven.TestData) {
	timers := map[string]TimerKind{"view": TimerView, "half": TimerHalf, "repeat": TimerRepeat}
	switch d.Cmd {
	case "cluster":
		fmt.Fprintf(s.trace, "f = %d, q = %d\n", s.set.F(), s.set.Quorum())
	case "work":
		for _, i := range named(d) {
			s.handle(i, s.members[i].core.Work())
		}
	case "deliver":
		s.deliver(s.match(d))
	case "drop":
		s.drop(s.match(d))
	case "fire":
		for _, i := range named(d) {
			s.fire(i, timers[word(d, "timer")])
		}
	case "crash":
		for _, i := range named(d) {
			s.members[i].down = true
		}
	case "restart":
		for _, i := range named(d) {
			s.start(i)
			s.logf(s.members[i], "resumes in view %d", s.members[i].core.View())
		}
	case "gone":
		for _, i := range named(d) {
			s.handle(i, s.members[i].core.LeaderGone(s.set.ID(numbers(s.t, d, "leader")[0])))
		}
	case "answer":
		verdict := map[string]Verdict{"": Valid, "untimely": Untimely, "invalid": Invalid}[word(d, "verdict")]
		for _, i := range named(d) {
			s.answers(i, verdict)
		}
	case "forge":
		s.playForge(d)
	case "showtc", "showqc", "showcert":
		s.playShow(d)
	case "state":
		s.state()
	default:
		s.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
}

func (s *story) hand(by int, v Verified, to []int) {
	for _, j := range to {
		s.queue = append(s.queue, parcel{by, j, v})
		s.deliver(func(p parcel) bool { return p.message == v && p.to == j })
	}
}

func (s *story) playForge(d *datadriven.TestData) {
	kinds := map[string]Kind{"Proposal": KindProposal, "PREPARE": KindPrepare, "COMMIT": KindCommit, "Timeout": KindTimeout}
	by, view := numbers(s.t, d, "by")[0], View(numbers(s.t, d, "view")[0])
	u := Unsigned{Statement: Statement{Kind: kinds[d.CmdArgs[0].Key], View: view}}
	if name := word(d, "block"); name != "" && u.Kind != KindTimeout {
		u.Block = s.block(name)
	}
	if u.Kind == KindProposal && view > 0 {
		u.TC = s.makeTC(view-1, numbers(s.t, d, "of"))
	}
	if u.Kind == KindTimeout && d.HasArg("qc") {
		u.QC = s.makeQC(KindPrepare, View(numbers(s.t, d, "qc")[0]), word(d, "block"))
	}
	s.hand(by, s.forge(by, u), numbers(s.t, d, "to"))
}

// playShow sends a CommitCert, or another certificate by Status.
func (s *story) playShow(d *datadriven.TestData) {
	view, block := View(numbers(s.t, d, "view")[0]), word(d, "block")
	var m Message
	switch qc := s.makeQC(KindPrepare, view, block); {
	case d.Cmd == "showtc":
		m = &Status{Height: s.verifier.Height, View: view, TC: s.makeTC(view, numbers(s.t, d, "of"))}
	case d.Cmd == "showcert":
		m = (*CommitCert)(s.makeQC(KindCommit, view, block))
	case qc != nil:
		m = &Status{Height: s.verifier.Height, View: view, HighQC: qc}
	default:
		fmt.Fprintf(s.trace, "there is no such QC\n")
		return
	}
	v, err := s.verifier.Verify(m)
	if err != nil {
		s.t.Fatalf("%s: %v", d.Pos, err)
	}
	s.hand(numbers(s.t, d, "by")[0], v, numbers(s.t, d, "to"))
}

// makeTC makes the TC of a view out of Timeouts that were sent.
func (s *story) makeTC(view View, of []int) *TC {
	held := newCollector(s.set)
	for _, v := range s.sent {
		if t, ok := v.(VerifiedTimeout); ok {
			if i, _ := s.set.Index(t.t.Signer); slices.Contains(of, i) {
				held.timeouts.keep(i, t.t)
			}
		}
	}
	if v := held.tcView(); v != view {
		s.t.Fatalf("no TC(%d) of %v: their Timeouts make TC(%d)", view, of, v)
	}
	return held.tc(view)
}

// makeQC makes a certificate out of votes that were sent, or nil.
func (s *story) makeQC(kind Kind, view View, name string) *QC {
	held := newCollector(s.set)
	var last *Vote
	for _, v := range s.sent {
		if p, ok := v.(VerifiedVote); ok && p.v.Kind == kind && p.v.View == view && p.v.Block == s.block(name) {
			i, _ := s.set.Index(p.v.Signer)
			held.votes(kind).keep(i, p.v)
			last = p.v
		}
	}
	if last == nil {
		return nil
	}
	return held.agree(last, s.set.Quorum())
}

func (s *story) state() {
	for _, m := range s.members {
		if m.down {
			s.logf(m, "is not here")
			continue
		}
		k := m.core.marks
		line := fmt.Sprintf("view %d proposed %d prepared %d committed %d timedOut %d highQC %s TC %s",
			m.core.view, k.Proposed, k.Prepared, k.Committed, k.TimedOut, s.nameQC(k.HighQC), s.nameTC(m.core.tc))
		if m.final != nil {
			line += " final " + s.names[m.final.Cert.Block]
		}
		s.logf(m, "%s", line)
	}
}
