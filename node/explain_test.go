package node_test

import (
	"bytes"
	"context"
	"fmt"
	osexec "os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// client is a client of the platform's API.
func (p *platform) client(t *testing.T) *client.Client {
	t.Helper()
	c, err := client.Open(p.cfg.Home, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// scrape reads the platform's metrics.
func (p *platform) scrape(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.client(t).Metrics(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// paidTask has node-1 pay node-2 for a task.
func paidTask(t *testing.T, all []*platform) view.CID {
	t.Helper()
	registered(t, len(all), all...)
	id := all[1].posts(t, all[2], []byte("\x00asm"), []byte("input"))
	all[1].waitTask(t, id, "proven, its result here", hasResult)
	all[1].acknowledges(t, id)
	for _, p := range all {
		p.waitTask(t, id, "settled", in(view.TaskSettled))
	}
	return id
}

func TestEverythingIsCountedAndExplained(t *testing.T) {
	t.Parallel()
	all := federation(t, 4, offering(t, echoing()))
	id := paidTask(t, all)
	requester, executor := all[1], all[2]
	t.Run("metrics", func(t *testing.T) { checkMetrics(t, requester) })
	t.Run("events", func(t *testing.T) { checkEvents(t, requester) })
	t.Run("reputation", func(t *testing.T) { checkStanding(t, requester, executor, id) })
	t.Run("why not", func(t *testing.T) { checkWhyNot(t, requester, executor, id) })
	t.Run("why idle", func(t *testing.T) { checkWhyIdle(t, executor) })
	t.Run("doctor", func(t *testing.T) {
		d, err := requester.Doctor(t.Context())
		if err != nil || d.Verdict == view.VerdictProblem {
			t.Fatalf("Doctor = %+v, %v, want no problem of a healthy node", d, err)
		}
		for _, about := range []string{"identity", "genesis", "chain", "ports", "peers", "clock", "disk", "version", "mDNS"} {
			if !slices.ContainsFunc(d.Findings, func(f view.Finding) bool { return f.About == about }) {
				t.Errorf("the doctor says nothing about %s: %+v", about, d.Findings)
			}
		}
		for _, f := range d.Findings {
			if f.Verdict != view.VerdictOK && f.Cure == "" {
				t.Errorf("%+v has no cure", f)
			}
		}
	})
	t.Run("who is away", func(t *testing.T) {
		away := all[3].id(t)
		all[3].end(t)
		requester.wait(t, "missing node-3", func(view.Status) bool {
			why, err := requester.PeersWhy(t.Context())
			return err == nil && len(why.Missing) == 1 && why.Missing[0].Name == "node-3" && why.Missing[0].Reason != ""
		})
		d, err := requester.Doctor(t.Context())
		if err != nil || !slices.ContainsFunc(d.Findings, func(f view.Finding) bool {
			return f.About == "peers" && f.Verdict == view.VerdictWarning && strings.Contains(f.Text, "node-3 is not connected")
		}) {
			t.Errorf("Doctor = %+v, %v, want that node-3 is away", d, err)
		}
		why, err := requester.WhyNot(t.Context(), id, away)
		if err != nil || len(why.Candidates) != 1 || why.Candidates[0].Fit || !failed(why.Candidates[0], "reachable") {
			t.Errorf("WhyNot = %+v, %v, want that node-3 is not reachable", why, err)
		}
	})
}

// checkMetrics checks what the requester of one paid task counts.
func checkMetrics(t *testing.T, p *platform) {
	text := p.scrape(t)
	for _, want := range []string{
		`sage_peers{path="direct"} 3`, `sage_peers{path="relayed"} 0`, `sage_validators 4`, `sage_validator 1`, `sage_syncing 0`,
		`sage_tasks{state="posted"} 0`, `sage_tasks{state="accepted"} 0`, `sage_tasks{state="proven"} 0`,
		`sage_tasks_settled_total{outcome="COMMIT"} 1`, `sage_tasks_settled_total{outcome="VOID"} 0`,
		`sage_transactions_total{result="refused"} 0`, `sage_mempool_transactions 0`, `sage_mempool_bytes 0`,
		`sage_balance_atp{kind="available"} 848.5`, `sage_peer_offences_total 0`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("metrics have no line %q", want)
		}
	}
	for _, above := range []string{"sage_height", "sage_blocks_total", "sage_frames_received_total", "sage_frames_sent_bytes_total",
		"sage_disk_free_bytes", "go_goroutines", "process_resident_memory_bytes", "sage_final_latency_seconds_count"} {
		if !regexp.MustCompile(`(?m)^` + above + ` [1-9]`).MatchString(text) {
			t.Errorf("%s is not above 0", above)
		}
	}
	if t.Failed() {
		t.Logf("metrics:\n%s", text)
	}
	promtool, err := osexec.LookPath("promtool")
	if err != nil {
		t.Skip("asks promtool; install it (apt-get install prometheus)")
	}
	check := osexec.CommandContext(t.Context(), promtool, "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// checkEvents checks that every kind is told that has happened, in order.
func checkEvents(t *testing.T, p *platform) {
	var events []view.Event
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	names := map[string]int{}
	err := p.client(t).Follow(ctx, client.EventQuery{}, func(e view.Event) error {
		events = append(events, e)
		names[string(e.Kind)+" "+e.Name]++
		if e.Name == "FEDERATION_REPUTATION" {
			return errDone
		}
		return nil
	}, nil)
	if err != errDone {
		t.Fatalf("Follow = %v after %v", err, names)
	}
	for i, e := range events[1:] {
		if e.Seq != events[i].Seq+1 {
			t.Fatalf("event %d follows event %d", e.Seq, events[i].Seq)
		}
	}
	for _, want := range []string{"peer NODE_UP", "peer PEER_UP", "block BLOCK", "tx TX_FINAL"} {
		if names[want] == 0 {
			t.Errorf("no event %q among %v", want, names)
		}
	}
}

var errDone = fmt.Errorf("heard enough")

func checkStanding(t *testing.T, p, executor *platform, id view.CID) {
	story, err := p.Reputation(t.Context(), executor.id(t))
	if err != nil || len(story.Parts) != 1 || len(story.Newest) != 1 {
		t.Fatalf("Reputation = %+v, %v, want one part and one move", story, err)
	}
	part, move := story.Parts[0], story.Newest[0]
	if part.Role != "executor" || part.Type != "vision" || part.ReputationPPM != p.reputationOf(t, executor) || move.NewPPM != part.ReputationPPM ||
		move.OldPPM != 500_000 || move.TaskID != id || len(part.Sources) != 1 || part.Sources[0].SuccessPPM != part.SuccessPPM {
		t.Errorf("Reputation = %+v", story)
	}
	if said := strings.Join(part.Steps, "\n"); !strings.Contains(said, "(good + 5) / (good + bad + 10) = 5.399 / 10.499 = 0.514") {
		t.Errorf("the arithmetic is\n%s", said)
	}
	newcomer, err := p.Reputation(t.Context(), p.id(t))
	if err != nil || len(newcomer.Parts) != 1 || newcomer.Parts[0].Role != "requester" {
		t.Errorf("Reputation of a requester = %+v, %v", newcomer, err)
	}
}

func failed(c view.Contender, what string) bool {
	return slices.ContainsFunc(c.Tests, func(x view.Test) bool { return x.What == what && !x.OK })
}

func checkWhyNot(t *testing.T, requester, executor *platform, id view.CID) {
	why, err := requester.WhyNot(t.Context(), id, "")
	if err != nil || len(why.Candidates) != 3 || why.State != view.TaskSettled || why.MostUATP != 50*atp {
		t.Fatalf("WhyNot = %+v, %v", why, err)
	}
	sum := view.PPM(0)
	for _, c := range why.Candidates {
		sum += c.ChancePPM
		if !c.Fit || c.Chosen != (c.PeerID == executor.id(t)) {
			t.Errorf("candidate %+v, want one that fits", c)
		}
	}
	if sum < 999_990 || sum > 1_000_000 {
		t.Errorf("chances add up to %d ppm", sum)
	}
	self, err := requester.WhyNot(t.Context(), id, requester.id(t))
	if err != nil || len(self.Candidates) != 1 || self.Candidates[0].Fit || !failed(self.Candidates[0], "another") {
		t.Errorf("WhyNot of itself = %+v, %v", self, err)
	}
	other, err := executor.WhyNot(t.Context(), id, requester.id(t))
	if err != nil || len(other.Candidates) != 1 || other.Candidates[0].Fit || other.Note == "" {
		t.Errorf("WhyNot asked elsewhere = %+v, %v", other, err)
	}
	if _, err := requester.WhyNot(t.Context(), requester.holds(t, []byte("no task")), ""); err == nil {
		t.Error("WhyNot of what is no task = nil")
	}
}

func checkWhyIdle(t *testing.T, p *platform) {
	why, err := p.WhyIdle(t.Context())
	if err != nil || why.Verdict == view.VerdictProblem {
		t.Fatalf("WhyIdle = %+v, %v, want no problem", why, err)
	}
	if !slices.ContainsFunc(why.Findings, func(f view.Finding) bool {
		return f.About == "demand" && strings.Contains(f.Text, "of others 1 came here")
	}) {
		t.Errorf("WhyIdle = %+v, want that one task came here", why)
	}
}

// A node that starts again tells a reader who comes back what the blocks did that
// he has missed, and that news of peers are gone.
func TestAReaderHearsAcrossARestart(t *testing.T) {
	t.Parallel()
	p := up(t, "alone", func(*node.Config) {})
	p.wait(t, "up", func(s view.Status) bool { return s.Genesis != "" })
	payee := apitest.ID("payee")
	p.pays(t, payee, 1)
	events, err := p.Events(t.Context(), 0, 1000)
	if err != nil || len(events) == 0 {
		t.Fatal(events, err)
	}
	last := events[len(events)-1]
	if last.Kind != view.EventBlock {
		t.Fatalf("the last event is %+v, want the block's", last)
	}
	p.pays(t, payee, 2) // the reader is away
	p.end(t)
	p = p.again(t)
	p.wait(t, "up again", func(s view.Status) bool { return s.Genesis != "" && len(s.Listen) > 0 })
	p.pays(t, payee, 1)
	var heard []string
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	q := client.EventQuery{After: last.Seq, Whole: last.Height, Kinds: []view.EventKind{view.EventTx, view.EventPeer}}
	err = p.client(t).Follow(ctx, q, func(e view.Event) error {
		heard = append(heard, e.Name)
		if e.Seq > 0 && e.Kind == view.EventTx {
			return errDone
		}
		return nil
	}, nil)
	if want := []string{"GAP", "TX_FINAL", "TX_FINAL", "NODE_UP", "TX_FINAL"}; err != errDone || !slices.Equal(heard, want) {
		t.Errorf("heard %q, %v, want %q", heard, err, want)
	}
	page, err := p.client(t).Events(t.Context(), client.EventQuery{After: last.Seq}, 10)
	if err != nil || len(page.Events) < 2 || page.Events[0].Kind != view.EventGap || page.Events[1].Name != view.NameNodeUp {
		t.Errorf("a page = %+v, %v, want a gap before NODE_UP", page, err)
	}
}
