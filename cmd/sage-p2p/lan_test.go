package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/p2p/lantest"
)

// lanPatience is how long a test waits for what must happen on a LAN.
const lanPatience = 90 * time.Second

// machine is a platform that is a process of this program on a machine of a LAN.
type machine struct {
	t     *testing.T
	place *lantest.Place
	name  string
	home  string
	cmd   *osexec.Cmd
	gone  chan struct{} // closed when the process has ended

	mu    sync.Mutex
	lines []lanLine     // guarded by mu: what it printed
	news  chan struct{} // guarded by mu: closed with the next line
	log   bytes.Buffer  // guarded by mu
}

// lanLine is one value that `up --json` prints: of each kind some fields are set.
type lanLine struct {
	at      time.Time
	PeerID  string `json:"peer_id"`
	Genesis string `json:"genesis"`
	Founder string `json:"founder"`
	Origin  string `json:"origin"`
	Alarm   string `json:"alarm"`
}

func newMachine(t *testing.T, place *lantest.Place, name string) *machine {
	t.Helper()
	return &machine{t: t, place: place, name: name, home: t.TempDir(), news: make(chan struct{})}
}

// Write implements io.Writer for the log.
func (m *machine) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(b)
}

// up starts the process, in a home that it may have had before.
func (m *machine) up(args ...string) *machine {
	m.t.Helper()
	m.cmd = m.program(append([]string{"--log-level", "info", "up", "--json", "--api-addr", "127.0.0.1:0", "--name", m.name}, args...)...)
	m.cmd.Stderr = m
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	m.mu.Lock()
	m.lines = nil
	m.mu.Unlock()
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	gone := make(chan struct{})
	m.gone = gone
	go func() {
		defer close(gone)
		m.read(out)
		_ = m.cmd.Wait() // how it ended shows in its log
	}()
	m.t.Cleanup(func() {
		m.down()
		if m.t.Failed() {
			m.t.Logf("log of %s:\n%s", m.name, m.log.String())
		}
	})
	return m
}

func (m *machine) read(out io.Reader) {
	for in := json.NewDecoder(out); ; {
		var l lanLine
		if err := in.Decode(&l); err != nil {
			return
		}
		l.at = time.Now()
		m.mu.Lock()
		m.lines = append(m.lines, l)
		close(m.news)
		m.news = make(chan struct{})
		m.mu.Unlock()
	}
}

// program is this program in the machine, with the machine's home.
func (m *machine) program(args ...string) *osexec.Cmd {
	cmd := m.place.Command(os.Args[0], append([]string{"--home", m.home}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// down ends the process in good order.
func (m *machine) down() {
	select {
	case <-m.gone:
		return
	default:
	}
	_ = m.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-m.gone:
	case <-time.After(lanPatience):
		m.t.Errorf("%s does not stop", m.name)
		_ = m.cmd.Process.Kill()
		<-m.gone
	}
}

// await returns the first line for which ok holds.
func (m *machine) await(what string, ok func(lanLine) bool) lanLine {
	m.t.Helper()
	deadline := time.After(lanPatience)
	for {
		m.mu.Lock()
		lines, news := m.lines, m.news
		m.mu.Unlock()
		for _, l := range lines {
			if ok(l) {
				return l
			}
		}
		select {
		case <-news:
		case <-m.gone:
			m.t.Fatalf("%s has ended while it was to say %s", m.name, what)
		case <-deadline:
			st, err := m.status()
			m.t.Fatalf("%s does not say %s; it said %+v; status %+v, %v", m.name, what, lines, st, err)
		}
	}
}

// joins waits for its federation.
func (m *machine) joins() lanLine {
	m.t.Helper()
	return m.await("its federation", func(l lanLine) bool { return l.Genesis != "" })
}

// tell runs a command in the machine, and reads its JSON into v if there is one.
func (m *machine) tell(v any, args ...string) error {
	if v != nil {
		args = append(args, "--json")
	}
	var out, problem bytes.Buffer
	cmd := m.program(args...)
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: sage-p2p %s: %w: %s", m.name, strings.Join(args, " "), err, problem.String())
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(out.Bytes(), v)
}

func (m *machine) status() (st view.Status, err error) { return st, m.tell(&st, "status") }

// until waits until what is claimed of its status holds.
func (m *machine) until(claim string, holds func(view.Status) bool) view.Status {
	m.t.Helper()
	for deadline := time.Now().Add(lanPatience); ; time.Sleep(50 * time.Millisecond) {
		st, err := m.status()
		if err == nil && holds(st) {
			return st
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s is not %s: %+v, %v", m.name, claim, st, err)
		}
	}
}

// agrees waits until all are ready, in one federation and at one block.
func agrees(all ...*machine) {
	all[0].t.Helper()
	all[0].until("at one with the others", func(first view.Status) bool {
		for _, m := range all[1:] {
			st, err := m.status()
			if err != nil || !st.Ready() || st.Genesis != first.Genesis || st.Block != first.Block {
				return false
			}
		}
		return first.Ready()
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// on plugs a machine into a LAN.
func on(l *lantest.LAN, number int) *lantest.Place {
	return l.Place().Plug(fmt.Sprintf("10.7.0.%d/24", number))
}

// Two machines on a LAN: `up` on both, and there is one federation.
func TestTwoMachinesOnALANBecomeAFederation(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*lantest.Place)
	}{
		{"without a default route", func(*lantest.Place) {}},
		{"with a default route", func(p *lantest.Place) { p.IP("route", "add", "default", "via", "10.7.0.254") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := lantest.New(t)
			first, second := newMachine(t, on(l, 1), "thor"), newMachine(t, on(l, 2), "loki")
			tt.prepare(first.place)
			tt.prepare(second.place)
			begun := time.Now()
			founded := first.up().joins()
			l.Check("the first founds", founded.at.Sub(begun))
			if founded.Origin != "founded" || founded.Founder != "thor" {
				t.Errorf("the first says %+v", founded)
			}
			begun = time.Now()
			found := second.up().joins()
			l.Check("the second finds it", found.at.Sub(begun))
			if found.Genesis != founded.Genesis || found.Origin != "found" || found.Founder != "thor" {
				t.Errorf("the second says %+v, want what the first does, %+v", found, founded)
			}
			second.until("synced", view.Status.Ready)
			l.Check("the second is synced", time.Since(begun))
			must(t, first.tell(nil, "transfer", "--new", second.id(), "5"))
			agrees(first, second)
			var a view.Account
			must(t, second.tell(&a, "balance"))
			if a.AvailableUATP < 5_000_000 {
				t.Errorf("the second has %s", a.AvailableUATP)
			}
			first.until("aware of two platforms", func(view.Status) bool {
				var p view.Platforms
				return first.tell(&p, "platforms") == nil && len(p.Platforms) == 2
			})
			delegates(t, first, second)
			agrees(first, second)
		})
	}
}

// id is the machine's platform.
func (m *machine) id() string {
	m.t.Helper()
	return m.await("who it is", func(l lanLine) bool { return l.PeerID != "" }).PeerID
}

func TestFourMachinesOnALANBecomeAFederation(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	var all []*machine
	for i := range 4 {
		all = append(all, newMachine(t, on(l, i+1), fmt.Sprintf("node%d", i)).up())
	}
	begun := time.Now()
	for _, m := range all {
		l.Check(m.name+" is in a federation", m.joins().at.Sub(begun))
	}
	agrees(all...) // on a busy machine two may found, and one of them gives way
	var platforms view.Platforms
	all[3].until("aware of four platforms", func(view.Status) bool {
		return all[3].tell(&platforms, "platforms") == nil && len(platforms.Platforms) == 4
	})
	must(t, all[3].tell(nil, "transfer", "node1", "1"))
	agrees(all...)
}

// Ten offsets between the starts of two: always one federation.
func TestTwoMachinesThatStartAtAboutTheSameTime(t *testing.T) {
	for i := range 10 {
		offset := time.Duration(i) * 450 * time.Millisecond
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			l := lantest.New(t)
			a, b := newMachine(t, on(l, 1), "thor"), newMachine(t, on(l, 2), "loki")
			a.up()
			time.Sleep(offset)
			begun := time.Now()
			b.up()
			one := b.until("in a federation with the other", func(st view.Status) bool {
				other, err := a.status()
				return err == nil && st.Ready() && other.Ready() && st.Genesis == other.Genesis
			})
			l.Check("one federation", time.Since(begun))
			left := 0
			for _, m := range []*machine{a, b} {
				aside, err := filepath.Glob(filepath.Join(m.home, "aside-*"))
				must(t, err)
				left += len(aside)
			}
			t.Logf("genesis %s; %d federations given up on the way", one.Genesis[:8], left)
		})
	}
}

// Three that are to found a federation together find one another by mDNS, and with
// them one that would found alone and one that only observes.
func TestFoundersOnALANNeedNoAddresses(t *testing.T) {
	t.Parallel()
	l := lantest.New(t)
	var all []*machine
	for i, args := range [][]string{{"--expect", "3"}, {"--expect", "3"}, {}, {"--observer"}, {"--expect", "3"}} {
		all = append(all, newMachine(t, on(l, i+1), fmt.Sprintf("node%d", i)).up(args...))
	}
	begun := time.Now()
	genesis := all[0].joins().Genesis
	for i, m := range all {
		joined := m.joins()
		l.Check(m.name+" is in", joined.at.Sub(begun))
		if founds := i != 2 && i != 3; joined.Genesis != genesis || (joined.Origin == "founded") != founds {
			t.Errorf("%s: %+v, want %s, founded %v", m.name, joined, genesis, founds)
		}
	}
	agrees(all...)
	if st := all[3].until("ready", view.Status.Ready); st.Validators < 3 || st.Validator {
		t.Errorf("the observer says %+v", st)
	}
}
