package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
)

// errUsage reports arguments that make no sense.
var errUsage = errors.New("sage-bench: usage")

// Options is what is measured, and how.
type Options struct {
	Validators sizes   `json:"validators"`
	Inflight   int     `json:"inflight"` // closed loop: transfers under way at once; 0 with a rate
	Rate       float64 `json:"rate"`     // open loop: transfers a second; 0 is closed loop
	Entries    int     `json:"entries"`  // validators that take transfers
	Load       span    `json:"load_ns"`
	Warmup     span    `json:"warmup_ns"` // of the load, left out of the speed
	Lone       span    `json:"lone_ns"`   // one transfer at a time
	Idle       span    `json:"idle_ns"`
	Kill       bool    `json:"kill"` // one validator, in the middle of the load; of another federation one is cut off
	Task       bool    `json:"task"`
	Transport  string  `json:"transport"` // quic, tcp or both
	Profile    string  `json:"profile"`
	Seed       uint64  `json:"seed"` // of the accounts' keys

	JSON       bool   `json:"-"`
	CPUProfile string `json:"-"` // folder, of the first validator's profile
	Logs       string `json:"-"` // folder, of the validators' logs
}

// sizes is a list of numbers of validators.
type sizes []int

func (s *sizes) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(*s), " ", ","), "[]")
}

// Set reads 1,4,7.
func (s *sizes) Set(text string) error {
	*s = nil
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > bft.MaxValidators || n == 2 {
			return fmt.Errorf("%q: want numbers from 1 to %d, and not 2, with commas between", part, bft.MaxValidators)
		}
		*s = append(*s, n)
	}
	return nil
}

// span is a length of time.
type span = time.Duration

// parseOptions reads the command line. What it has to say goes to said.
func parseOptions(args []string, said io.Writer) (Options, error) {
	o := Options{Validators: sizes{4}}
	f := flag.NewFlagSet("sage-bench", flag.ContinueOnError)
	f.SetOutput(said)
	f.Usage = func() {
		fmt.Fprint(said, "sage-bench measures n validators on this machine under a load of transfers.\n\n")
		f.PrintDefaults()
	}
	f.Var(&o.Validators, "validators", "`LIST` of numbers of validators, such as 1,4,7,28")
	f.IntVar(&o.Inflight, "inflight", 256, "closed loop: transfers under way at once")
	f.Float64Var(&o.Rate, "rate", 0, "open loop: transfers a `second`, whatever becomes of them")
	f.IntVar(&o.Entries, "entries", 4, "validators that take transfers; at most as many as there are")
	f.DurationVar(&o.Load, "load", 10*time.Second, "how long the load lasts; 0: none")
	f.DurationVar(&o.Warmup, "warmup", time.Second, "beginning of the load that does not count")
	f.DurationVar(&o.Lone, "lone", 3*time.Second, "how long one transfer at a time is sent; 0: not")
	f.DurationVar(&o.Idle, "idle", 10*time.Second, "how long nothing is sent; 0: not at all")
	f.BoolVar(&o.Kill, "kill", false, "kill one validator in the middle of the load; then the same with one that is cut off")
	f.BoolVar(&o.Task, "task", false, "run one task, and relate its operations to 15 s (needs a Go toolchain)")
	f.StringVar(&o.Transport, "transport", "both", "quic, tcp, or both: the node's choice")
	f.StringVar(&o.Profile, "profile", store.Edge.String(), "of the validators: edge or server")
	f.Uint64Var(&o.Seed, "seed", 1, "of the accounts' keys")
	f.BoolVar(&o.JSON, "json", false, "print JSON")
	f.StringVar(&o.Logs, "logs", "", "keep the validators' logs in `DIR`")
	f.StringVar(&o.CPUProfile, "cpuprofile", "", "write the first validator's CPU profile to `DIR`")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%w: there is no argument %q", errUsage, f.Arg(0))
	}
	if o.Rate > 0 {
		o.Inflight = 0
	}
	return o, o.check()
}

// check reports every problem, not only the first.
func (o Options) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...))
	}
	if o.Rate == 0 && (o.Inflight < 1 || o.Inflight > maxAccounts) {
		bad("--inflight is %d, want 1 to %d", o.Inflight, maxAccounts)
	}
	if o.Rate < 0 || o.Rate > 1e5 {
		bad("--rate is %g, want at most 100000", o.Rate)
	}
	if o.Entries < 1 {
		bad("--entries is %d, want at least 1", o.Entries)
	}
	if o.Load > 0 && o.Warmup >= o.Load || o.Warmup < 0 {
		bad("--warmup is %v, want less than the load's %v", o.Warmup, o.Load)
	}
	for _, d := range []span{o.Load, o.Lone, o.Idle} {
		if d < 0 || d > time.Hour {
			bad("a phase lasts %v, want 0 to an hour", d)
		}
	}
	for _, n := range o.Validators {
		if o.Kill && n < 4 {
			bad("--kill needs 4 validators or more, have %d: fewer cannot lose one", n)
		}
		if o.Task && n < 3 {
			bad("--task needs 3 validators or more, have %d: nobody executes its own task", n)
		}
	}
	if len(listenOn(o.Transport)) == 0 {
		bad("--transport is %q, want quic, tcp or both", o.Transport)
	}
	if _, err := store.ParseProfile(o.Profile); err != nil {
		bad("--profile: %w", err)
	}
	return errors.Join(errs...)
}

// maxAccounts leaves room in a genesis for the validators' own balances, and for
// the account that sends one transfer at a time.
const maxAccounts = chain.MaxAllocations - bft.MaxValidators - 1

// accounts is how many accounts make the load: in closed loop one for each
// transfer under way, in open loop enough that none has many under way at once.
func (o Options) accounts() int {
	if o.Rate > 0 {
		return min(maxAccounts, max(64, int(o.Rate)))
	}
	return o.Inflight
}

// share is how many transfers are signed for each of those accounts: all that a
// rate asks for, or more than a closed loop has been seen to need.
func (o Options) share() int {
	each := 6_000.0 // a second
	if o.Rate > 0 {
		each = o.Rate
	}
	return int(each*o.Load.Seconds())/o.accounts() + 10
}

// loneShare is how many are signed for the account that sends one at a time.
func (o Options) loneShare() int { return int(500 * o.Lone.Seconds()) }

// listenOn returns the addresses of a transport; the system chooses ports.
func listenOn(transport string) []string {
	quic, tcp := "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"
	switch transport {
	case "quic":
		return []string{quic}
	case "tcp":
		return []string{tcp}
	case "both":
		return []string{quic, tcp}
	}
	return nil
}
