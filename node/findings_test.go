package node

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/sage-p2p/sage-p2p/atp"
	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/replica"
	"github.com/sage-p2p/sage-p2p/p2p"
	"github.com/sage-p2p/sage-p2p/task"
)

// healthy is a node that nothing is wrong with.
func healthy() symptoms {
	now := time.UnixMilli(int64(epoch))
	return symptoms{
		now:     now,
		status:  view.Status{Name: "thor", Genesis: "5a", Network: "lan", Height: 7, FinalTimeMS: view.Millis(epoch - 3_000), Validators: 4, Validator: true, Version: Version},
		keyFile: "/home/thor/key", keyMode: 0o600,
		addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/7422/p2p/" + newActor("a").id().String())},
		lan:   p2p.Discovery{On: true, Lanes: []p2p.Lane{{Interface: "eth0", Family: "ip4", Open: now, Heard: p2p.Tally{Count: 3}}}, Found: make([]p2p.Found, 2)},
		peers: []p2p.Peer{{ID: newActor("b").id().ID, Direct: true, Agent: "sage-p2p/" + Version}},
		free:  50 << 30, size: 100 << 30,
	}
}

func TestTheDoctorSaysHowOthersReachThePlatform(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*symptoms)
		about  string
		want   view.Verdict
		text   string
	}{
		{"public nowhere", func(s *symptoms) {
			s.status.Public, s.addrs = true, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/10.0.0.1/tcp/1")}
		}, "reach", view.VerdictWarning, "none of its addresses is"},
		{"public behind a firewall", func(s *symptoms) {
			s.status.Public, s.unreached = true, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/tcp/1")}
		}, "reach", view.VerdictProblem, "does not reach it at /ip4/1.2.3.4/tcp/1"},
		{"no relay", func(s *symptoms) { s.seats = []p2p.Seat{{Relay: newActor("b").id().ID, Reason: "refused"}} }, "reach", view.VerdictWarning, "does not relay for it: refused"},
		{"through a relay", func(s *symptoms) { s.seats = []p2p.Seat{{Relay: s.peers[0].ID, Held: true}} }, "reach", view.VerdictOK, "others reach it through"},
		{"reached", func(s *symptoms) { s.reached = []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/tcp/1")} }, "reach", view.VerdictOK, "with --public it would help"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := healthy()
			tt.change(&s)
			all := s.findings()
			i := slices.IndexFunc(all, func(f view.Finding) bool { return f.About == tt.about })
			if i < 0 || all[i].Verdict != tt.want || !strings.Contains(all[i].Text, tt.text) {
				t.Errorf("%+v, want %s of %s: %q", all, tt.want, tt.about, tt.text)
			}
		})
	}
}

func TestTheDoctorNamesWhatIsWrongAndItsCure(t *testing.T) {
	if f := healthy().findings(); view.Worst(f) != view.VerdictOK {
		t.Fatalf("a healthy node: %+v", f)
	}
	for _, tt := range []struct {
		name   string
		change func(*symptoms)
		about  string
		want   view.Verdict
		text   string
	}{
		{"key exposed", func(s *symptoms) { s.keyMode = 0o644 }, "identity", view.VerdictProblem, "can be read by others (mode 0644)"},
		{"no federation", func(s *symptoms) { s.status.Genesis, s.status.Waiting = "", "its federation" }, "genesis", view.VerdictWarning, "waits for its federation"},
		{"syncing", func(s *symptoms) { s.status.Syncing, s.status.Waiting = true, "blocks" }, "chain", view.VerdictWarning, "waits for blocks"},
		{"no work", func(s *symptoms) { s.noWork = true }, "work", view.VerdictWarning, "accepts no tasks"},
		{"deaf", func(s *symptoms) { s.addrs = nil }, "ports", view.VerdictProblem, "listens nowhere"},
		{"loopback", func(s *symptoms) { s.addrs = []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1")} }, "ports", view.VerdictWarning, "this machine only"},
		{"port taken", func(s *symptoms) { s.moved = true }, "ports", view.VerdictWarning, "port 7422 was taken"},
		{"no mDNS", func(s *symptoms) { s.lan = p2p.Discovery{} }, "mDNS", view.VerdictWarning, "it is off"},
		{"silence", func(s *symptoms) { s.lan.Silence, s.peers, s.status.Validators = "a firewall", nil, 1 }, "mDNS", view.VerdictWarning, "a firewall"},
		{"clone", func(s *symptoms) { s.lan.Lanes[0].Twin = netip.MustParseAddr("192.0.2.7") }, "interface", view.VerdictProblem, "192.0.2.7 announces this platform's own ID"},
		{"port 5353", func(s *symptoms) { s.lan.Lanes[0].Open, s.lan.Lanes[0].Error = time.Time{}, "in use" }, "interface", view.VerdictWarning, "in use"},
		{"flood", func(s *symptoms) { s.lan.Crowded = 9 }, "mDNS", view.VerdictWarning, "9 announcements"},
		{"alone of four", func(s *symptoms) { s.peers = nil }, "peers", view.VerdictProblem, "nothing becomes final"},
		{"relayed", func(s *symptoms) { s.peers[0].Direct = false }, "peers", view.VerdictWarning, "through a relay"},
		{"one away", func(s *symptoms) { s.missing = []view.MissingPeer{{Name: "orin", Reason: "connection refused"}} }, "peers", view.VerdictWarning, "orin is not connected: connection refused"},
		{"one refused", func(s *symptoms) {
			s.refused = []p2p.Refusal{{ID: newActor("c").id().ID, Name: "foe", Reason: "of another federation", Times: 2, Last: s.now}}
		}, "refusals", view.VerdictWarning, "foe was turned away (2 ×): of another federation"},
		{"one refused that was taken in later", func(s *symptoms) {
			s.refused = []p2p.Refusal{{ID: s.peers[0].ID, Name: "thor", Reason: "had no genesis yet", Times: 1, Last: s.now}}
		}, "peers", view.VerdictOK, "1 connected"},
		{"a liar", func(s *symptoms) {
			s.offenders = []p2p.Offender{{ID: newActor("c").id().ID, Offences: []p2p.Offence{{What: "a forged block"}}}}
		}, "offences", view.VerdictWarning, "a forged block"},
		{"clock off", func(s *symptoms) { s.status.ClockOffsetMS = -1_500 }, "clock", view.VerdictWarning, "-1500 ms off"},
		{"clock far off", func(s *symptoms) { s.status.ClockOffsetMS = 2_500 }, "clock", view.VerdictProblem, "does not propose"},
		{"disk low", func(s *symptoms) { s.free = 2 << 30 }, "disk", view.VerdictWarning, "2.0 GiB of 100.0 GiB"},
		{"disk full", func(s *symptoms) { s.free = 1 << 20 }, "disk", view.VerdictProblem, "stops"},
		{"disk unknown", func(s *symptoms) { s.diskErr = errors.New("no") }, "disk", view.VerdictWarning, "does not say"},
		{"versions", func(s *symptoms) { s.peers[0].Agent = "sage-p2p/9" }, "version", view.VerdictWarning, `run "sage-p2p/9"`},
		{"alarm", func(s *symptoms) { s.status.Alarms = []string{"the store is damaged"} }, "alarm", view.VerdictProblem, "the store is damaged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := healthy()
			tt.change(&s)
			f := s.findings()
			if view.Worst(f) != tt.want || !slices.ContainsFunc(f, func(f view.Finding) bool {
				return f.About == tt.about && f.Verdict == tt.want && strings.Contains(f.Text, tt.text)
			}) {
				t.Errorf("findings = %+v, want %s of %s with %q, and nothing worse", f, tt.want, tt.about, tt.text)
			}
		})
	}
}

// However many are away, the doctor's answer is short.
func TestTheDoctorIsBrief(t *testing.T) {
	s := healthy()
	s.missing = make([]view.MissingPeer, 10_000)
	s.refused = make([]p2p.Refusal, 10_000)
	for i := range s.refused {
		s.refused[i].Last = s.now
	}
	s.lan.Skipped = make([]p2p.SkippedInterface, 10_000)
	if f := s.findings(); len(f) > 50 {
		t.Errorf("%d findings", len(f))
	}
}

// working is a platform that nothing keeps from getting work.
func working(t *testing.T) idleness {
	t.Helper()
	w := newWorld(t, 2)
	p := platformOf("thor")
	return idleness{
		state: w.first(), self: w.all[0].id(), peers: 3, runtimes: []string{"wasm"}, platform: p, registered: true,
		others: []task.Platform{platformOf("orin")}, standing: map[task.Type]task.Evidence{}, available: 1_000 * atp.ATP,
		suits: func(task.Task) error { return nil }, newest: 9, foreign: 5, here: 2,
	}
}

func TestAnIdleExecutorIsToldWhy(t *testing.T) {
	if f := working(t).findings(); view.Worst(f) != view.VerdictOK {
		t.Fatalf("one that gets work: %+v", f)
	}
	dear := func(times atp.Amount) func(*idleness) {
		return func(e *idleness) { e.platform.Offers = []task.Offer{{Type: task.Vision, Low: times * 11 * atp.ATP}} }
	}
	open := []task.Task{{ID: someCID("a task"), Terms: task.Terms{Type: task.Vision}}}
	for _, tt := range []struct {
		name   string
		change func(*idleness)
		about  string
		want   view.Verdict
		text   string
	}{
		{"told not to", func(e *idleness) { e.noWork = true }, "work", view.VerdictProblem, "accept no tasks"},
		{"behind", func(e *idleness) { e.behind = true }, "work", view.VerdictWarning, "catching up"},
		{"alone", func(e *idleness) { e.peers = 0 }, "peers", view.VerdictProblem, "no other platform is connected"},
		{"not registered", func(e *idleness) { e.registered = false }, "registered", view.VerdictProblem, "has not registered"},
		{"no runtime", func(e *idleness) { e.runtimes = nil }, "runtimes", view.VerdictProblem, "has no runtime"},
		{"another runtime", func(e *idleness) { e.platform.Runtimes = []task.Runtime{"openai"} }, "runtimes", view.VerdictProblem, "registered for openai"},
		{"one runtime unsaid", func(e *idleness) { e.runtimes = append(e.runtimes, "openai") }, "runtimes", view.VerdictWarning, "not registered for openai"},
		{"narrow", func(e *idleness) { e.platform.Horizon.Temporal = task.Ephemeral }, "horizon", view.VerdictWarning, "narrower"},
		{"no types", func(e *idleness) { e.platform.Offers = nil }, "types", view.VerdictProblem, "no type"},
		{"twice as dear", dear(2), "price", view.VerdictWarning, "1 of 1 others ask less"},
		{"three times as dear", dear(3), "price", view.VerdictProblem, "pays at most 22 ATP"},
		{"ill reputed", func(e *idleness) { e.standing[task.Vision] = task.Evidence{Against: 10 * task.S} }, "reputation", view.VerdictProblem, "lower bound 0.155"},
		{"once failed", func(e *idleness) { e.standing[task.Vision] = task.Evidence{Against: task.S / 2} }, "reputation", view.VerdictWarning, "leaves it alone"},
		{"poor", func(e *idleness) { e.available = atp.ATP }, "bond", view.VerdictProblem, "at most 0.1 ATP"},
		{"choosy", func(e *idleness) {
			e.open, e.suits = open, func(task.Task) error { return errDeclined }
		}, "open tasks", view.VerdictWarning, "is turned down"},
		{"no demand", func(e *idleness) { e.foreign, e.here = 0, 0 }, "demand", view.VerdictWarning, "none was posted by another"},
		{"others preferred", func(e *idleness) { e.here = 0 }, "demand", view.VerdictWarning, "none came here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := working(t)
			tt.change(&e)
			f := e.findings()
			if view.Worst(f) != tt.want || !slices.ContainsFunc(f, func(f view.Finding) bool {
				return f.About == tt.about && f.Verdict == tt.want && strings.Contains(f.Text, tt.text)
			}) {
				t.Errorf("findings = %+v, want %s of %s with %q, and nothing worse", f, tt.want, tt.about, tt.text)
			}
		})
	}
}

// What is explained is what the router does: who fits is who can be picked.
func TestTheExplanationIsTheRoutersOwn(t *testing.T) {
	r, now := newRouter(), time.UnixMilli(int64(epoch))
	dear, unknown, away, bad, suspended := fit("dear"), fit("unknown"), fit("away"), fit("bad"), fit("suspended")
	dear.platform.Offers = []task.Offer{{Type: task.Vision, Low: 1_000 * atp.ATP}}
	unknown.platform.Offers = nil
	away.connected, bad.lcb = false, 1
	r.failed(now, suspended.id, task.Vision)
	all := []candidate{fit("one"), dear, unknown, away, bad, suspended, fit("two")}
	tk := task.Task{Terms: visionTerms(50 * atp.ATP)}
	sum := view.PPM(0)
	for _, v := range r.explain(now, tk, all, "") {
		sum += v.ChancePPM
		i := slices.IndexFunc(all, func(c candidate) bool { return c.id.ID == v.PeerID })
		if picked := r.unfit(now, tk.Terms, all[i]) == ""; picked != v.Fit || v.Fit != (v.ChancePPM > 0) {
			t.Errorf("%s: the router says %q, the explanation is %+v", v.Name, r.unfit(now, tk.Terms, all[i]), v)
		}
	}
	if sum < 999_998 || sum > 1_000_000 {
		t.Errorf("chances add up to %d ppm", sum)
	}
	if only := r.explain(now, tk, all, dear.id.ID); len(only) != 1 || only[0].PeerID != dear.id.ID || only[0].Fit {
		t.Errorf("of one: %+v", only)
	}
}

// A flood of strangers does not push out of the log what the chain did.
func TestNewsOfPeersAreBounded(t *testing.T) {
	n, r := &Node{hub: newHub(time.UnixMilli(int64(epoch))), peerNews: newPeerNews()}, &running{}
	r.newest.Store(&head{state: newWorld(t, 1).first()})
	n.chain.Store(r)
	n.hub.tell(view.Event{Kind: view.EventBlock})
	for i := range 3 * keptEvents {
		n.tellPeer(p2p.Refused{Refusal: p2p.Refusal{ID: newActor("a").id().ID, Reason: fmt.Sprint("a stranger, ", i)}})
	}
	events := n.hub.after(0, 2*keptEvents)
	if len(events) > keptEvents/2 || events[0].Kind != view.EventBlock || events[1].Name != "PEER_REFUSED" {
		t.Errorf("%d events, the first %s", len(events), events[0].Name)
	}
	if len(n.refusals.last) > maxRefusalNews {
		t.Errorf("it remembers %d refusals, want at most %d", len(n.refusals.last), maxRefusalNews)
	}
}

// Who dials again and again is turned away each time, and told once a minute.
func TestARefusalIsToldOnceAMinute(t *testing.T) {
	var n refusalNews
	start := time.UnixMilli(int64(epoch))
	a, b := newActor("a").id().ID, newActor("b").id().ID
	for _, tt := range []struct {
		name string
		r    p2p.Refusal
		want bool
	}{
		{"the first", p2p.Refusal{ID: a, Reason: "genesis", Last: start}, true},
		{"at once again", p2p.Refusal{ID: a, Reason: "genesis", Last: start.Add(time.Second)}, false},
		{"for another reason", p2p.Refusal{ID: a, Reason: "network", Last: start.Add(2 * time.Second)}, true},
		{"another peer", p2p.Refusal{ID: b, Reason: "genesis", Last: start.Add(3 * time.Second)}, true},
		{"a minute later", p2p.Refusal{ID: a, Reason: "genesis", Last: start.Add(time.Minute)}, true},
	} {
		if got := n.fresh(tt.r); got != tt.want {
			t.Errorf("%s: told = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestANumberOfTheFutureIsOfThePast(t *testing.T) {
	h := newHub(time.UnixMicro(100))
	h.tell(view.Event{Kind: view.EventBlock})
	if e := h.after(101, 9); len(e) != 0 {
		t.Errorf("after the newest: %+v", e)
	}
	if e := h.after(102, 9); len(e) != 1 || e[0].Seq != 101 {
		t.Errorf("after one that was never told: %+v, want all", e)
	}
}

func TestAChangeOfTheSetIsToldOnce(t *testing.T) {
	set := func(all ...actor) bft.ValidatorSet {
		var ids []bft.ID
		for _, a := range all {
			ids = append(ids, a.ID())
		}
		s, err := bft.NewValidatorSet(ids...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b, c := newActor("a"), newActor("b"), newActor("c")
	if e := validatorNews(set(a, b), set(b, a), chain.Tip{}); e != nil {
		t.Errorf("no change: %+v", e)
	}
	e := validatorNews(set(a, b), set(b, c), chain.Tip{Height: 7})
	if len(e) != 1 || e[0].Kind != view.EventValidator || e[0].Height != 7 ||
		string(e[0].Data) != `{"validators":2,"quorum":2,"joined":["`+peer.ID(c.ID().ID).String()+`"],"left":["`+a.ID().String()+`"]}` {
		t.Errorf("news = %+v %s", e, e[0].Data)
	}
}

func TestViewsThatFailedAreCounted(t *testing.T) {
	m := newMetrics(&Node{})
	at := func(h bft.Height, v bft.View) replica.Progress { return replica.Progress{Height: h, View: v} }
	for _, step := range [][2]replica.Progress{{at(1, 0), at(1, 0)}, {at(1, 0), at(1, 2)}, {at(1, 2), at(2, 0)}, {at(2, 0), at(3, 1)}, {at(3, 1), at(3, 1)}} {
		m.progressed(step[0], step[1])
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sage_view_changes_total" && f.Metric[0].Counter.GetValue() != 3 {
			t.Errorf("%v views changed, want 3", f.Metric[0].Counter.GetValue())
		}
	}
}

// A server of language models is asked whether it answers, with a node and without.
func TestTheDoctorAsksTheServerOfModels(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[{"id":"tiny"}]}`)
	}))
	defer server.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, tt := range []struct {
		name    string
		url     string
		models  []string
		verdict view.Verdict
		text    string
	}{
		{"it answers", server.URL, []string{"tiny"}, view.VerdictOK, "openai/tiny, at " + server.URL + "/v1"},
		{"it lacks one", server.URL, []string{"tiny", "Big"}, view.VerdictWarning, "does not list Big"},
		{"it does not answer", gone.URL, []string{"tiny"}, view.VerdictProblem, "does not answer: the server of language models"},
		{"it cannot be", "there", []string{"tiny"}, view.VerdictProblem, `"there"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f findings
			examineModels(&f, Config{OpenAIURL: tt.url, OpenAIModels: tt.models})
			if len(f) != 1 || f[0].Verdict != tt.verdict || !strings.Contains(f[0].Text, tt.text) || tt.verdict != view.VerdictOK && f[0].Cure == "" {
				t.Errorf("found %+v, want one %s with %q and its cure", f, tt.verdict, tt.text)
			}
		})
	}
	var f findings
	if examineModels(&f, Config{}); len(f) > 0 {
		t.Errorf("without a server: %+v", f)
	}
}
