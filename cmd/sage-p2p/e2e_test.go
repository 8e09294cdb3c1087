package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

// loopback are the flags of a node that chooses its ports itself.
func loopback(extra ...string) []string {
	return append([]string{"--api-addr", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--no-mdns"}, extra...)
}

// federation starts n nodes that found one, and ends them with the test.
func federation(t *testing.T, ctx context.Context, n int) []*actor {
	t.Helper()
	t.Setenv(asProgram, "1")
	var all []*actor
	var bootstrap []string
	for i := range n {
		a := &actor{name: fmt.Sprintf("node%d", i), home: t.TempDir()}
		a.args = loopback(append([]string{"--network", "test", "--expect", strconv.Itoa(n)}, bootstrap...)...)
		launch(t, ctx, a)
		all = append(all, a)
		if bootstrap == nil {
			st, err := a.node.Status(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, addr := range st.Listen {
				bootstrap = append(bootstrap, "--bootstrap", addr)
			}
		}
	}
	for _, a := range all {
		waitReady(t, ctx, a)
	}
	return all
}

func launch(t *testing.T, ctx context.Context, a *actor) {
	t.Helper()
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			b, _ := os.ReadFile(a.log())
			t.Logf("log of %s:\n%s", a.name, b[max(0, len(b)-4000):])
		}
	})
	if err := a.start(ctx); err != nil {
		t.Fatal(err)
	}
}

func waitReady(t *testing.T, ctx context.Context, a *actor) {
	t.Helper()
	if err := a.until(ctx, "to be ready", func() (bool, error) {
		st, err := a.node.Status(ctx)
		return st.Ready(), err
	}); err != nil {
		t.Fatal(err)
	}
}

// tell runs a command that must succeed, and reads its JSON into v if there is one.
func tell(t *testing.T, a *actor, v any, args ...string) string {
	t.Helper()
	if v != nil {
		args = append(args, "--json")
	}
	s := command(t.Context(), a.home, time.Now, "", args...)
	if s.code != exitDone {
		t.Fatalf("%s: sage-p2p %s = %d\n%s%s", a.name, strings.Join(args, " "), s.code, s.out, s.err)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(s.out), v); err != nil {
			t.Fatalf("%v in %s", err, s.out)
		}
	}
	return s.out
}

// Four processes: a paid task, a kill -9, what goes on without the dead, its
// return, a late observer, and the chain of all of them executed again.
func TestFourProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes for half a minute; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 75*time.Second)
	defer cancel()
	all := federation(t, ctx, 4)
	stage := demo{platforms: all}

	picture := filepath.Join(t.TempDir(), "in.png")
	sample, err := programs.Sample(programs.Edges)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(picture, sample, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.png")
	for _, a := range all {
		if err := a.until(ctx, "to see four platforms", func() (bool, error) {
			platforms, err := a.node.Platforms(ctx)
			return len(platforms) == 4, err
		}); err != nil {
			t.Fatal(err)
		}
	}
	tell(t, all[0], nil, "task", "submit", "--type", "vision", "--program", "edges", "--input", picture, "--price", "20", "--accept", "--out", out)
	if b, err := os.ReadFile(out); err != nil {
		t.Error(err)
	} else if _, err := png.Decode(bytes.NewReader(b)); err != nil {
		t.Errorf("the result is no PNG: %v", err)
	}
	if _, err := stage.agree(ctx, all); err != nil { // the others may be a block behind
		t.Fatal(err)
	}
	var tasks view.Tasks
	tell(t, all[3], &tasks, "task", "list")
	if len(tasks.Tasks) != 1 {
		t.Fatalf("another platform lists %+v", tasks.Tasks)
	}
	var same view.Task
	tell(t, all[3], &same, "task", "show", short(tasks.Tasks[0].ID.String()))
	// The lot may draw its result for an audit, and then no acknowledgement pays it.
	if same.Settlement != view.SettledCommit || same.Cause != "acknowledged" && same.Cause != "audit_pass" {
		t.Errorf("another platform says that the task is %s", stateOf(same))
	}
	file := filepath.Join(t.TempDir(), "receipt")
	tell(t, all[3], nil, "receipt", short(same.ID.String()), "--out", file)
	genesis := filepath.Join(all[1].home, genesisFile)
	if s := command(ctx, t.TempDir(), time.Now, "", "verify", file, "--genesis", genesis); s.code != exitDone || !strings.Contains(s.out, "proven: task "+same.ID.String()) || !strings.Contains(s.out, "ended with  COMMIT") {
		t.Errorf("its receipt on a machine without a node: %+v", s)
	}

	if err := all[3].kill(); err != nil {
		t.Fatal(err)
	}
	for range 5 { // every leader's turn comes, also the dead one's
		tell(t, all[0], nil, "transfer", "node1", "1.5")
	}
	launch(t, ctx, all[3])
	waitReady(t, ctx, all[3])
	if _, err := stage.agree(ctx, all); err != nil {
		t.Fatal(err)
	}
	var mine, theirs view.Account
	tell(t, all[0], &mine, "balance", "node1")
	tell(t, all[3], &theirs, "balance", "node1")
	if mine.AvailableUATP != theirs.AvailableUATP {
		t.Errorf("node1 has %s, after the restart %s", mine.AvailableUATP, theirs.AvailableUATP)
	}

	observer := &actor{name: "late", home: t.TempDir()}
	st, err := all[0].node.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	observer.args = loopback("--network", "test", "--observer", "--no-work", "--bootstrap", st.Listen[0])
	launch(t, ctx, observer)
	waitReady(t, ctx, observer)
	if _, err := stage.agree(ctx, append(all, observer)); err != nil {
		t.Fatal(err)
	}

	if s := command(ctx, all[0].home, time.Now, "", "chain", "check"); s.code != exitUnsafe || !strings.Contains(s.err, "a node is running") {
		t.Errorf("chain check beside a running node = %+v", s)
	}
	var first checked
	for i, a := range append(all, observer) {
		a.stop()
		var got checked
		tell(t, a, &got, "chain", "check")
		if i == 0 {
			first = got
		}
		if got != first {
			t.Errorf("chain check of %s = %+v, of %s %+v", a.name, got, all[0].name, first)
		}
	}
	if first.Height < 6 || first.Transactions < 10 {
		t.Errorf("the chain is short: %+v", first)
	}
}

// home is one with a chain of its own, of a node that has stopped.
func stoppedHome(t *testing.T, ctx context.Context) *actor {
	t.Helper()
	a := federation(t, ctx, 1)[0]
	a.stop()
	return a
}

// precious is what a home must never lose by a failed start: its key and its
// genesis, with their modes.
func precious(t *testing.T, home string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"key", "genesis.json"} {
		path := filepath.Join(home, name)
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		info, statErr := os.Stat(path)
		if err := errors.Join(err, statErr); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %v %x\n", name, info.Mode(), sha256.Sum256(content))
	}
	return b.String()
}

// up that cannot be says why in one sentence, with the documented exit code.
func TestUpRefusesWhatItCannotDoSafely(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	running := federation(t, ctx, 1)[0]
	st, err := running.node.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stopped := stoppedHome(t, ctx)
	genesis, err := os.ReadFile(filepath.Join(running.home, "genesis.json"))
	if err != nil {
		t.Fatal(err)
	}
	corrupt := filepath.Join(t.TempDir(), "genesis.json")
	if err := os.WriteFile(corrupt, bytes.Replace(genesis, []byte(`"test"`), []byte(`"tost"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(stopped.home, "key")
	tcp := regexp.MustCompile(`/ip4/127\.0\.0\.1/tcp/\d+`).FindString(strings.Join(st.Listen, " "))
	api := strings.TrimPrefix(running.node.URL(), "http://")
	for _, tt := range []struct {
		name  string
		home  string
		args  []string
		spoil func() error
		mend  func() error
		code  int
		about string
	}{
		{"a home in use", running.home, loopback(), nil, nil, exitUnsafe, "--home"},
		{"an API port in use", stopped.home, []string{"--api-addr", api, "--listen", "/ip4/127.0.0.1/tcp/0"}, nil, nil, exitFailed, "--api-addr"},
		{"a port in use", stopped.home, []string{"--api-addr", "127.0.0.1:0", "--listen", tcp}, nil, nil, exitFailed, tcp},
		{"a key that others can read", stopped.home, loopback(), func() error { return os.Chmod(key, 0o644) }, func() error { return os.Chmod(key, 0o600) }, exitUnsafe, "chmod 600"},
		{"a foreign genesis", stopped.home, loopback("--genesis", filepath.Join(running.home, "genesis.json")), nil, nil, exitFailed, "--home"},
		{"a corrupt genesis", t.TempDir(), loopback("--genesis", corrupt), nil, nil, exitFailed, "genesis"},
		{"a genesis of another network", t.TempDir(), loopback("--genesis", filepath.Join(running.home, "genesis.json"), "--network", "elsewhere"), nil, nil, exitFailed, "--network test"},
		{"a missing genesis", t.TempDir(), loopback("--genesis", corrupt+"x"), nil, nil, exitFailed, "no such file"},
		{"an API for everyone", t.TempDir(), []string{"--api-addr", "0.0.0.0:0"}, nil, nil, exitUsage, "127.0.0.1"},
		{"a name that is none", t.TempDir(), loopback("--name", "Thor!"), nil, nil, exitUsage, "a-z"},
		{"an address that is none", t.TempDir(), []string{"--listen", "127.0.0.1:0"}, nil, nil, exitUsage, "127.0.0.1:0"},
		{"a bootstrap without an ID", t.TempDir(), loopback("--bootstrap", "/ip4/127.0.0.1/tcp/1"), nil, nil, exitUsage, "/p2p/"},
		{"an unknown profile", t.TempDir(), loopback("--profile", "huge"), nil, nil, exitUsage, "edge or server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.spoil != nil {
				if err := tt.spoil(); err != nil {
					t.Fatal(err)
				}
			}
			before := precious(t, tt.home)
			s := command(ctx, tt.home, time.Now, "", append([]string{"up", "--log-level", "error", "--network", "test"}, tt.args...)...)
			if s.code != tt.code || !strings.HasPrefix(s.err, "sage-p2p: ") || !strings.Contains(s.err, tt.about) {
				t.Errorf("up = %d %q, want %d about %q", s.code, s.err, tt.code, tt.about)
			}
			if after := precious(t, tt.home); after != before {
				t.Errorf("the home changed:\n%s\n%s", before, after)
			}
			if left, _ := os.ReadDir(tt.home); tt.code == exitUsage && len(left) > 0 {
				t.Errorf("a misuse left %v in the home", left)
			}
			if tt.mend != nil {
				if err := tt.mend(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if _, err := running.node.Status(ctx); err != nil {
		t.Errorf("the running node was harmed: %v", err)
	}
}

func TestChainCheckFindsWhatIsWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if s := command(ctx, t.TempDir(), time.Now, "", "chain", "check"); s.code != exitFailed || !strings.Contains(s.err, "no chain") {
		t.Errorf("chain check of an empty home = %+v", s)
	}
	a, other := stoppedHome(t, ctx), stoppedHome(t, ctx)
	tell(t, a, nil, "chain", "check")
	foreign, err := os.ReadFile(filepath.Join(other.home, "genesis.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.home, "genesis.json"), foreign, 0o600); err != nil {
		t.Fatal(err)
	}
	if s := command(ctx, a.home, time.Now, "", "chain", "check"); s.code != exitFailed || !strings.Contains(s.err, "another chain") {
		t.Errorf("chain check with a foreign genesis = %+v", s)
	}
	if err := os.WriteFile(filepath.Join(a.home, "genesis.json"), foreign[:len(foreign)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if s := command(ctx, a.home, time.Now, "", "chain", "check"); s.code != exitFailed || !strings.Contains(s.err, "genesis") {
		t.Errorf("chain check with half a genesis = %+v", s)
	}
}

// demonstrate starts the demonstration as a process of its own.
func demonstrate(t *testing.T, ctx context.Context, out io.Writer, flags ...string) *osexec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := osexec.CommandContext(ctx, self, append([]string{"demo"}, flags...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+t.TempDir())
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestTheDemonstrationHoldsWhatItClaims(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes for up to a minute; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := demonstrate(t, ctx, &out).Wait(); err != nil {
		t.Fatalf("demo: %v\n%s", err, out.String())
	}
	for _, want := range []string{"COMMIT", "ROLLBACK", "kill -9", "catches up", "refused by all four", "Equal"} {
		if !strings.Contains(unwrapped(out.String()), want) {
			t.Errorf("the demonstration says nothing of %q:\n%s", want, out.String())
		}
	}
	checkGone(t, out.String())
}

func TestTheDemonstrationWithWitnessesHoldsWhatItClaims(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes for up to a minute; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := demonstrate(t, ctx, &out, "--witnesses").Wait(); err != nil {
		t.Fatalf("demo --witnesses: %v\n%s", err, out.String())
	}
	for _, want := range []string{"told by a variable of its environment to lie", "draws its result for an audit", "loses its whole bond of the seat", "appeals to everyone", "ROLLBACK", "Equal"} {
		if !strings.Contains(unwrapped(out.String()), want) {
			t.Errorf("the demonstration says nothing of %q:\n%s", want, out.String())
		}
	}
	checkGone(t, out.String())
}

// However it ends, no process of it goes on.
func TestAnInterruptedDemonstrationLeavesNoProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; leave out -short")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	cmd := demonstrate(t, ctx, writer)
	if err := writer.Close(); err != nil { // the last one is in the process
		t.Fatal(err)
	}
	var text strings.Builder
	buffer := make([]byte, 4096)
	interrupted := false
	for {
		n, err := reader.Read(buffer)
		text.Write(buffer[:n])
		if !interrupted && strings.Contains(unwrapped(text.String()), "each has a vote") {
			interrupted = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	var exit *osexec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(text.String(), "interrupted") {
		t.Errorf("demo = %v\n%s", err, text.String())
	}
	checkGone(t, text.String())
}

// unwrapped is a text without its line breaks.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

// checkGone checks that the processes that a demonstration names have ended.
func checkGone(t *testing.T, out string) {
	t.Helper()
	found := regexp.MustCompile(`(?:alpha|beta|gamma|delta)\s+(\d+)`).FindAllStringSubmatch(unwrapped(out), -1)
	if len(found) < 4 {
		t.Fatalf("found the processes %v in\n%s", found, out)
	}
	for _, m := range found[:4] {
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d of the demonstration is still there: %v", pid, err)
		}
	}
}
