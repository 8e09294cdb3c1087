package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api"
	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// asProgram is set for the processes that tests start: this binary is then
// sage-p2p, or becomes the one that plainProgram names.
const (
	asProgram    = "SAGE_TEST_AS_PROGRAM"
	plainProgram = "SAGE_TEST_PLAIN_PROGRAM"
)

func TestMain(m *testing.M) {
	exec.ChildMain()
	if os.Getenv(asProgram) != "" {
		becomePlain()
		main()
	}
	if text := os.Getenv(asLiar); text != "" {
		if err := tellLie(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	time.Local = time.UTC // people read local time; golden files need one
	flag.Parse()
	// Tests beside one another wait for processes on machines of their own.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("6"); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if raceDetector() && !testing.Short() {
		remove, err := buildPlain()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer remove()
	}
	return m.Run()
}

// raceDetector reports whether this binary was built with it. It makes the
// compilation of a program take minutes, so that tasks would be late: the
// processes of these tests then run without it.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-race" && s.Value == "true"
	})
}

// buildPlain builds sage-p2p without the race detector, for becomePlain.
func buildPlain() (remove func(), err error) {
	dir, err := os.MkdirTemp("", "sage-p2p-test-")
	if err != nil {
		return nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	plain := filepath.Join(dir, "sage-p2p")
	if out, err := osexec.Command("go", "build", "-o", plain, ".").CombinedOutput(); err != nil {
		remove()
		return nil, fmt.Errorf("build sage-p2p: %w\n%s", err, out)
	}
	return remove, os.Setenv(plainProgram, plain)
}

// becomePlain turns this process into the program that plainProgram names.
func becomePlain() {
	plain := os.Getenv(plainProgram)
	if plain == "" {
		return
	}
	err := syscall.Exec(plain, append([]string{plain}, os.Args[1:]...), os.Environ())
	fmt.Fprintln(os.Stderr, plain, err)
	os.Exit(exitFailed)
}

// desk is a node in memory and a command line beside it.
type desk struct {
	t    *testing.T
	node *apitest.Node
	home string
	in   string
	asks bool      // somebody sits at in
	hear io.Writer // gets what is said on the error output, too; nil for nobody

	screen bool // and looks at what is printed
}

// sit serves a node until the test ends.
func sit(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, node: apitest.New(), home: t.TempDir()}
	s := api.New(api.Config{Home: d.home, Addr: "127.0.0.1:0"}, d.node)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	for {
		if _, err := os.Stat(filepath.Join(d.home, view.AddrFile)); err == nil {
			return d
		}
		time.Sleep(time.Millisecond)
	}
}

// say is what one command printed.
type said struct {
	code     int
	out, err string
}

func (d *desk) run(args ...string) said { return d.runCtx(d.t.Context(), args...) }

func (d *desk) runCtx(ctx context.Context, args ...string) said {
	now := func() time.Time { return time.UnixMilli(int64(apitest.Start)).Add(30 * time.Second) }
	return commandOf(ctx, program{in: strings.NewReader(d.in), err: d.hear, asks: d.asks, screen: d.screen, now: now}, d.home, args...)
}

// command runs a command in this process.
func command(ctx context.Context, home string, now func() time.Time, in string, args ...string) said {
	return commandOf(ctx, program{in: strings.NewReader(in), now: now}, home, args...)
}

func commandOf(ctx context.Context, p program, home string, args ...string) said {
	var out, errs bytes.Buffer
	heard := p.err
	p.out, p.err = &out, &errs
	if heard != nil {
		p.err = io.MultiWriter(&errs, heard)
	}
	code := p.run(ctx, append([]string{"sage-p2p", "--home", home}, args...))
	return said{code, out.String(), errs.String()}
}

// ok runs a command that must succeed.
func (d *desk) ok(args ...string) string {
	d.t.Helper()
	s := d.run(args...)
	if s.code != exitDone {
		d.t.Fatalf("sage-p2p %s = %d\n%s%s", strings.Join(args, " "), s.code, s.out, s.err)
	}
	return s.out
}

// golden compares what was printed with testdata/NAME.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".txt")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-want +got); go test ./cmd/sage-p2p -rewrite writes it anew:\n%s", file, diff)
	}
}

// eventful does a bit of everything, so that there is something to print.
func eventful(t *testing.T) *desk {
	d := sit(t)
	d.ok("transfer", "beta", "1.5")
	d.ok("lock", "create", "gamma", "20", "--until", "+30m")
	blob, err := d.node.PutBlob(t.Context(), strings.NewReader("a picture"))
	if err != nil {
		t.Fatal(err)
	}
	claim, mark := view.PPM(950_000), view.PPM(850_000)
	d.node.SetTask(view.Task{
		ID: apitest.CID("a task"), State: view.TaskSettled, Settlement: view.SettledCommit, Cause: "acknowledged",
		Requester: apitest.ID("alpha"), RequesterName: "alpha", Executor: apitest.ID("beta"), ExecutorName: "beta",
		Spec: view.Spec{
			Type: "vision", Complexity: "low", Runtime: "wasm", Program: apitest.CID("prog"), Input: blob.CID, InputSize: blob.Size,
			PriceUATP: 50_000_000, MinQualityPPM: 700_000, Verify: "mutual", OfferWindowMS: 60_000, ExecutionWindowMS: 300_000,
		},
		FeeUATP: 1_500_000, BondUATP: 5_000_000, Result: blob.CID, ResultSize: blob.Size, ResultHere: true,
		ClaimedPPM: &claim, QualityPPM: &mark, Witnesses: []view.Witness{}, ConsensusMS: 42, ConsensusSharePPM: 2_800,
		History: []view.Step{
			{TimeMS: apitest.Start + 5_000, Height: 5, Event: "posted", By: apitest.ID("alpha"), Legs: []view.Leg{{What: "locked", AmountUATP: 51_500_000}}},
			{
				TimeMS: apitest.Start + 6_000, Height: 6, Event: "accepted", By: apitest.ID("beta"),
				Legs: []view.Leg{{What: "bonded", To: apitest.ID("beta"), AmountUATP: 5_000_000}, {What: "fee to the pool", AmountUATP: 1_000_000}, {What: "discharged", AmountUATP: 500_000}},
			},
			{TimeMS: apitest.Start + 20_000, Height: 7, Event: "proven", By: apitest.ID("beta")},
			{
				TimeMS: apitest.Start + 21_000, Height: 8, Event: "settled",
				Legs:       []view.Leg{{What: "paid", To: apitest.ID("beta"), AmountUATP: 50_000_000}, {What: "bond back", To: apitest.ID("beta"), AmountUATP: 5_000_000}},
				Reputation: []view.ReputationMove{{PeerID: apitest.ID("beta"), Role: "executor", Type: "vision", OldPPM: 500_000, NewPPM: 516_666, Cause: "PASS"}},
				Note:       "accepted without witnesses: it counts three tenths",
			},
		},
	})
	return d
}

func TestWhatPeopleRead(t *testing.T) {
	d := eventful(t)
	d.node.StatusNow.Alarms = []string{"the clock is 4 s off: set it with timedatectl"}
	lock := apitest.CID("lock 1").String()
	for name, args := range map[string][]string{
		"status":        {"status"},
		"peers":         {"peers"},
		"validators":    {"validators"},
		"platforms":     {"platforms"},
		"platform-show": {"platform", "show", "beta"},
		"balance":       {"balance"},
		"balance-other": {"balance", "gamma"},
		"history":       {"history"},
		"lock-list":     {"lock", "list"},
		"lock-commit":   {"lock", "commit", short(lock)},
		"task-list":     {"task", "list"},
		"models":        {"models"},
		"task-show":     {"task", "show", apitest.CID("a task").String()[50:]},
		"block":         {"block", "3"},
		"tx":            {"tx", apitest.CID("tx 0").String()},
		"peers-why":     {"peers", "--why"},
		"rep-explain":   {"rep", "explain", "beta"},
		"why-not":       {"task", "why-not", apitest.CID("a task").String()},
		"why-not-one":   {"task", "why-not", apitest.CID("a task").String()[50:], "gamma"},
		"events-block":  {"events", "--kind", "block", "--since", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			d := eventful(t)
			d.node.StatusNow.Alarms = []string{"the clock is 4 s off: set it with timedatectl"}
			out := d.ok(args...)
			golden(t, name, out)
			for line := range strings.Lines(out) {
				whole := strings.Contains(line, "/p2p/") || strings.Contains(line, "bafyrei") // to be copied: never cut
				if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && !whole {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
}

func TestEveryCommandPrintsJSON(t *testing.T) {
	for name, args := range map[string][]string{
		"status": {"status"}, "peers": {"peers"}, "validators": {"validators"}, "validator join": {"validator", "join"}, "validator leave": {"validator", "leave"}, "stake bond": {"stake", "bond", "2"}, "platforms": {"platforms"}, "platform show": {"platform", "show", "beta"},
		"platform register": {"platform", "register", "--name", "alpha", "--offer", "vision=11/34/56/200"},
		"balance":           {"balance"}, "history": {"history"}, "lock list": {"lock", "list"}, "transfer": {"transfer", "beta", "1"},
		"lock create": {"lock", "create", "beta", "1", "--until", "2040-01-01T00:00:00Z"}, "lock commit": {"lock", "commit", apitest.CID("lock 1").String()},
		"lock rollback": {"lock", "rollback", apitest.CID("lock 1").String()},
		"task list":     {"task", "list"}, "task show": {"task", "show", apitest.CID("a task").String()}, "task wait": {"task", "wait", apitest.CID("a task").String()},
		"block": {"block", "1"}, "tx": {"tx", apitest.CID("tx 0").String()}, "version": {"version"}, "config show": {"config", "show"}, "stop": {"stop"},
		"federation invite": {"federation", "invite"},
		"doctor":            {"doctor"}, "why-idle": {"why-idle"}, "peers --why": {"peers", "--why"}, "rep explain": {"rep", "explain", "beta"},
		"task why-not": {"task", "why-not", apitest.CID("a task").String()},
		"ask":          {"ask", "Who?"}, "models": {"models"}, "task logs": {"task", "logs", apitest.CID("a task").String()},
	} {
		t.Run(name, func(t *testing.T) {
			out := eventful(t).ok(append(args, "--json")...)
			var v map[string]any
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatalf("%v in %q", err, out)
			}
			if strings.Contains(out, "null") {
				t.Errorf("null in %s", out)
			}
		})
	}
}

// Words of a horizon say themselves which dimension they are of.
func TestAHorizonIsRegisteredInTheDimensionsThatAreGiven(t *testing.T) {
	for text, want := range map[string]view.Horizon{
		"regional":               {Spatial: "regional"},
		"day/simple":             {Temporal: "day", Complexity: "simple"},
		"society/global/epoch":   {Spatial: "global", Temporal: "epoch", Complexity: "society"},
		"global, epoch, society": {Spatial: "global", Temporal: "epoch", Complexity: "society"}, // as platform show prints it
	} {
		d := sit(t)
		d.ok("platform", "register", "--horizon", text)
		if got := d.node.Registered(); got.Horizon == nil || *got.Horizon != want {
			t.Errorf("--horizon %q registers %+v, want %+v", text, got.Horizon, want)
		}
	}
}

func TestMoneyMovesAsAsked(t *testing.T) {
	d := sit(t)
	out := d.ok("transfer", apitest.ID("beta").String()[40:], "0.000001")
	if !strings.Contains(out, "paid 0.000001 ATP") || !strings.Contains(out, "final in block 2 after 12 ms") {
		t.Errorf("transfer said %q", out)
	}
	out = d.ok("--json", "lock", "create", "beta", "100", "--until", "+1h")
	var sub view.Submission
	if err := json.Unmarshal([]byte(out), &sub); err != nil {
		t.Fatal(err)
	}
	if locks, _ := d.node.Locks(t.Context()); len(locks) != 1 || locks[0].DeadlineMS != apitest.Start+30_000+3_600_000 {
		t.Errorf("locks = %+v", locks)
	}
	d.ok("lock", "commit", sub.LockID.String())
	again := d.run("lock", "commit", sub.LockID.String())
	if again.code != exitFailed || !strings.Contains(again.err, "refused: the lock does not exist or has ended") || !strings.Contains(again.err, "judged at height") {
		t.Errorf("second commit = %+v", again)
	}
	if a, _ := d.node.Account(t.Context(), apitest.ID("beta")); a.AvailableUATP != 1_100_000_001 {
		t.Errorf("beta has %s", a.AvailableUATP)
	}
}
