package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
)

// ill is what a doctor finds of a node with one of each.
var ill = []view.Finding{
	{About: "identity", Verdict: view.VerdictOK, Text: "thor · " + apitest.ID("thor").String()},
	{
		About: "peers", Verdict: view.VerdictWarning, Text: "orin is not connected: dial tcp4 192.0.2.4:7422: connect: connection refused",
		Cure: "start it there; nothing listens at that address", Command: "sage-p2p peers --why",
	},
	{About: "clock", Verdict: view.VerdictProblem, Text: "it is 2500 ms off", Cure: "have it set from the network", Command: "timedatectl set-ntp true"},
	{About: "alarm\x1b[2J", Verdict: view.VerdictWarning, Text: "what a stranger \x1b]0;says\a"},
}

// wellEnough is of an executor that gets some work.
var wellEnough = []view.Finding{
	{About: "work", Verdict: view.VerdictOK, Text: "it accepts tasks, and works on 1 now"},
	{
		About: "price", Verdict: view.VerdictWarning, Text: "vision: it asks 20 ATP (low), and 3 of 4 others ask less",
		Cure: "ask less", Command: "sage-p2p platform register --offer vision=PRICE",
	},
}

func TestEveryKindOfEventIsALine(t *testing.T) {
	d := sit(t)
	thor, id := apitest.ID("thor").String(), apitest.CID("x").String()
	for _, e := range []view.Event{
		{Kind: view.EventTx, Name: "TX_REFUSED", Subject: id, Data: json.RawMessage(`{"from":"` + thor + `","nonce":3,"ok":false,"error":"the lock has ended"}`)},
		{Kind: view.EventTransfer, Name: "ATP_TRANSFER", Subject: id, Data: json.RawMessage(`{"from":"` + thor + `","to":"` + thor + `","amount_uatp":1500000}`)},
		{Kind: view.EventTask, Name: "FEDERATION_TASK", Subject: id, Data: json.RawMessage(`{"task":"` + id + `","from":"","to":"posted","step":"post","by":{"x":1}}`)},
		{Kind: view.EventReputation, Name: "FEDERATION_REPUTATION", Subject: id, Data: json.RawMessage(`{"who":"` + thor + `","old_ppm":500000,"new_ppm":516666,"cause":"PASS"}`)},
		{Kind: view.EventPeer, Name: "PEER_REFUSED", Subject: thor, Data: json.RawMessage(`{"name":"a\u001b[2Jb","reason":"of another federation, whose name is far too long to be shown here in full"}`)},
		{Kind: view.EventValidator, Name: "VALIDATORS", Data: json.RawMessage(`{"validators":4,"quorum":3,"joined":["` + thor + `"],"left":[]}`)},
		{Kind: view.EventAlarm, Name: "ALARM", Subject: "the clock differs by 2500 ms from the median of the validators': set it (NTP)"},
	} {
		e.TimeMS, e.Height = apitest.Start, 7
		d.node.Tell(e)
	}
	d.screen = true
	out := d.ok("events")
	golden(t, "events", out)
	d.screen = false
	if all := d.run("events"); !strings.Contains(all.out, "whose name is far too long to be shown here in full") || !strings.HasSuffix(all.err, "events --since 9\n") {
		t.Errorf("in a pipe nothing is cut, and what comes next is said: %+v", all)
	}
	for line := range strings.Lines(out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestTheDoctorSaysWhatIsWrongAndEndsWithOne(t *testing.T) {
	d := sit(t)
	d.node.Findings = ill
	s := d.run("doctor")
	if s.code != exitFailed || s.err != "sage-p2p: 1 problem\n" {
		t.Errorf("doctor = %d %q, want 1 and the number of problems", s.code, s.err)
	}
	golden(t, "doctor", strings.ReplaceAll(s.out, d.home, "HOME"))
	for line := range strings.Lines(s.out) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !strings.Contains(line, d.home) {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if strings.ContainsAny(s.out, "\x1b\a") {
		t.Errorf("a stranger commands the terminal: %q", s.out)
	}
	s = d.run("doctor", "--json")
	var seen view.Doctor
	if err := json.Unmarshal([]byte(s.out), &seen); err != nil || s.code != exitFailed || seen.Verdict != view.VerdictProblem || len(seen.Findings) != len(ill) {
		t.Errorf("doctor --json = %d %s", s.code, s.out)
	}
	d.node.Findings = ill[:2]
	d.ok("doctor") // a warning is no failure
	d.node.Findings = wellEnough
	golden(t, "why-idle", strings.ReplaceAll(d.ok("why-idle"), d.home, "HOME"))
}

func TestTheDoctorLooksAtAHomeWithoutANode(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	s := command(t.Context(), home, time.Now, "", "doctor")
	if s.code != exitFailed || !strings.Contains(s.out, "none runs on this home") || !strings.Contains(s.out, "does not exist yet") || !strings.Contains(s.out, "up") {
		t.Errorf("doctor without a home = %+v", s)
	}
	if _, err := os.Stat(home); err == nil {
		t.Error("the doctor made a home")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if s := command(t.Context(), home, time.Now, "", "doctor", "--api", "http://"+addr); s.code != exitUnreachable {
		t.Errorf("doctor of a node elsewhere that is away = %+v, want %d", s, exitUnreachable)
	}
}

// lines is an output that tests read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
	more chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.more <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

func (l *lines) waitFor(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		l.mu.Lock()
		said := l.text.String()
		l.mu.Unlock()
		if strings.Contains(said, text) {
			return
		}
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("%q is not said: %q", text, said)
		}
	}
}

func TestEventsAreFollowedUntilCtrlC(t *testing.T) {
	d := sit(t)
	out := &lines{more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		p := program{in: strings.NewReader(""), out: out, err: out, now: time.Now}
		ended <- p.run(ctx, []string{"sage-p2p", "--home", d.home, "--json", "events", "--follow", "--kind", "alarm", "--kind", "block"})
	}()
	out.waitFor(t, `"seq":2`)
	d.node.Tell(view.Event{Kind: view.EventTask, Name: "UNWANTED"})
	d.node.Tell(view.Event{Kind: view.EventAlarm, Name: "ALARM", Subject: "the clock is off"})
	out.waitFor(t, "the clock is off")
	cancel()
	if code := <-ended; code != exitDone {
		t.Errorf("events --follow ended with %d", code)
	}
	for line := range strings.Lines(out.text.String()) {
		var e view.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Name == "UNWANTED" {
			t.Errorf("line %q: %v", line, err)
		}
	}
}

func TestEventsThatAreGoneAreSaidToBe(t *testing.T) {
	d := sit(t)
	d.node.Restart()
	d.node.Tell(view.Event{Kind: view.EventAlarm, Name: "ALARM", Subject: "x"})
	if out := d.ok("events", "--since", "2"); !strings.HasPrefix(out, "events between 2 and 1000003 are gone; see the blocks\n") {
		t.Errorf("events = %q", out)
	}
	for _, args := range [][]string{{"events", "--kind", "blocks"}, {"events", "--since", "yesterday"}, {"events", "now"}} {
		if s := d.run(args...); s.code != exitUsage || !strings.HasPrefix(s.err, "sage-p2p: ") {
			t.Errorf("%v = %+v, want a usage error", args, s)
		}
	}
}

// Whatever a node sends, an event is one clean line of at most 80 columns.
func TestAnEventIsOneCleanLine(t *testing.T) {
	members := []string{
		`{"amount_uatp":1500000,"from":"12D3KooWKRuXKWY5z38spFz59Tsus2axiGWH2N8pjGsasg9CnNej","ok":true}`, `{"after_seq":1,"before_seq":9}`,
		`{"\u001b":"\u001b]0;","x_ppm":1,"y":[1],"z":1.5,"_uatp":0}`, `{"a":"\n\n","b":18446744073709551615}`, "", "[", "null",
	}
	rapid.Check(t, func(t *rapid.T) {
		e := view.Event{
			Kind: rapid.SampledFrom([]view.EventKind{view.EventGap, view.EventAlarm, view.EventTask, "\x1b"}).Draw(t, "kind"),
			Seq:  rapid.Uint64().Draw(t, "seq"), Height: view.Height(rapid.Uint64().Draw(t, "height")), TimeMS: view.Millis(rapid.Uint64Max(1<<45).Draw(t, "time")),
			Name: rapid.String().Draw(t, "name"), Subject: rapid.String().Draw(t, "subject"),
			Data: json.RawMessage(rapid.OneOf(rapid.SampledFrom(members), rapid.String()).Draw(t, "data")),
		}
		line := cut(eventLine(e, names{apitest.ID("beta"): "beta"}), 80)
		if n := utf8.RuneCountInString(line); n > 80 || strings.ContainsAny(line, "\n\r\x1b\a") || line == "" {
			t.Errorf("%d columns: %q", n, line)
		}
	})
}

func TestPeersWhyNamesACure(t *testing.T) {
	for _, tt := range []struct {
		reason, genesis string
		want            string
	}{
		{"genesis: have none, want d9ed", "", "no federation yet; it joins this one with an invite"},
		{"still without genesis after 30s", "", "no federation yet"},
		{"genesis: have aaaa, want d9ed", "aaaa", "another federation; it joins this one with another --home"},
		{`network: have "a", want "b"`, "aaaa", "--network of this federation"},
		{"nonce: a connection cannot pass from one process to another", "aaaa", ""},
	} {
		got := refusalCure(view.RefusedPeer{Reason: tt.reason, Genesis: tt.genesis})
		if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: the cure is %q, want %q", tt.reason, got, tt.want)
		}
	}
}

func TestPeersWhySaysHowAPeerWasLookedFor(t *testing.T) {
	for _, tt := range []struct {
		m    view.MissingPeer
		want string
	}{
		{view.MissingPeer{}, ": gone, or not met yet; it is dialled in a moment"},
		{view.MissingPeer{Reason: "nobody has told where it listens"}, ": nobody has told where it listens"},
		{view.MissingPeer{Attempts: 1}, ", after 1 attempt: no answer yet"},
		{view.MissingPeer{Attempts: 2, Reason: "connection refused"}, ", after 2 attempts: connection refused"},
	} {
		if got := absence(tt.m); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.m, got, tt.want)
		}
	}
}
