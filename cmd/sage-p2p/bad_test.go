package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec"
)

// emptyProgram is the smallest module that may be sent: a memory, and a _start
// that does nothing.
const emptyProgram = "\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // a type: no parameters, no results
	"\x03\x02\x01\x00" + // a function of this type
	"\x05\x03\x01\x00\x01" + // a memory of one page
	"\x07\x13\x02\x06_start\x00\x00\x06memory\x02\x00" +
	"\x0a\x04\x01\x02\x00\x0b" // its body: end

// files makes what bad commands point at, and returns its folder.
func files(t *testing.T) string {
	dir := t.TempDir()
	for name, content := range map[string]string{"prog.wasm": emptyProgram, "garbage.wasm": "\x00asm\x01\x00\x00\x00garbage", "script.sh": "#!/bin/sh\n", "input": "pixels"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, []byte("\x00asm"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, exec.MaxInput+1); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A bad command says in one sentence what is wrong, exits as documented, and
// nothing has changed.
func TestBadCommandsChangeNothing(t *testing.T) {
	dir := files(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	submit := func(args ...string) []string {
		return append([]string{"task", "submit", "--type", "vision"}, args...)
	}
	good := []string{"--program", at("prog.wasm"), "--input", at("input")}
	for _, tt := range []struct {
		name  string
		args  []string
		code  int
		about string
	}{
		{"seven decimals", []string{"transfer", "beta", "1.0000001"}, exitUsage, "at most 6"},
		{"an exponent", []string{"transfer", "beta", "1e3"}, exitUsage, `"1e3"`},
		{"a comma", []string{"transfer", "beta", "1,5"}, exitUsage, `"1,5"`},
		{"a negative amount", []string{"transfer", "beta", "--", "-5"}, exitUsage, `"-5"`},
		{"a sign that looks like a flag", []string{"transfer", "beta", "-5"}, exitUsage, `no amount of ATP: have "-5"`},
		{"an ID with a slip in it", []string{"transfer", apitest.ID("stranger").String(), "1"}, exitFailed, "--new"},
		{"an unknown state", []string{"task", "list", "--state", "lost"}, exitUsage, `"lost"`},
		{"a number that is none", []string{"task", "list", "--limit", "many"}, exitUsage, `--limit cannot be "many"`},
		{"a task for oneself", submit(append(good, "--to", "alpha")...), exitUsage, "this platform itself"},
		{"no number", []string{"transfer", "beta", "much"}, exitUsage, `"much"`},
		{"nothing", []string{"transfer", "beta", "0"}, exitUsage, "0 ATP"},
		{"more than there is in the world", []string{"transfer", "beta", "99999999999999999999"}, exitUsage, "99999999999999999999"},
		{"over the balance", []string{"transfer", "beta", "1000.000001"}, exitFailed, "needs 1000.000001 ATP"},
		{"an unknown name", []string{"transfer", "nobody", "1"}, exitFailed, "nobody"},
		{"an ambiguous ID", []string{"transfer", "12D3", "1"}, exitFailed, "fits 4 IDs"},
		{"an unknown account", []string{"balance", apitest.ID("stranger").String()}, exitFailed, "no block has ever touched"},
		{"too few arguments", []string{"transfer", "beta"}, exitUsage, "transfer"},
		{"too many arguments", []string{"transfer", "beta", "1", "2"}, exitUsage, `"2"`},
		{"an unknown command", []string{"transfre", "beta", "1"}, exitUsage, "transfre"},
		{"an unknown subcommand", []string{"lock", "open"}, exitUsage, "open"},
		{"an unknown flag", []string{"transfer", "beta", "1", "--fee", "2"}, exitUsage, "no flag --fee"},
		{"a flag without its value", []string{"lock", "create", "beta", "1", "--until"}, exitUsage, "--until needs a value"},
		{"a lock without an end", []string{"lock", "create", "beta", "1"}, exitUsage, "until"},
		{"a lock that has ended", []string{"lock", "create", "beta", "1", "--until", "2001-01-01T00:00:00Z"}, exitUsage, "past"},
		{"a lock until never", []string{"lock", "create", "beta", "1", "--until", "tomorrow"}, exitUsage, "tomorrow"},
		{"a lock that is none", []string{"lock", "commit", "xyz"}, exitUsage, "xyz"},
		{"a height that is none", []string{"block", "99"}, exitFailed, "no final block 99"},
		{"a task that is none", []string{"task", "show", "abcdefgh"}, exitFailed, "abcdefgh"},
		{"an API that is none", []string{"--api", "127.0.0.1:1", "status"}, exitUsage, "http://127.0.0.1:7423"},
		{"an API that does not answer", []string{"--api", "http://127.0.0.1:1", "status"}, exitUnreachable, "no node answers"},
		{"a task without a type", []string{"task", "submit", "--program", "edges", "--input", "-"}, exitUsage, "type"},
		{"a program that is garbage", submit("--program", at("garbage.wasm"), "--input", at("input")), exitFailed, "would run nowhere"},
		{"a missing program", submit("--program", at("none"), "--input", at("input")), exitFailed, "no such file"},
		{"a program that is not WASM", submit("--program", at("script.sh"), "--input", at("input")), exitFailed, "not a WASM module"},
		{"a program that is too large", submit("--program", at("large"), "--input", at("input")), exitFailed, "more than"},
		{"a program that is a folder", submit("--program", dir, "--input", at("input")), exitFailed, "not a file"},
		{"a missing input", submit("--program", at("prog.wasm"), "--input", at("none")), exitFailed, "no such file"},
		{"an input that is too large", submit("--program", at("prog.wasm"), "--input", at("large")), exitFailed, "more than"},
		{"a quality above 1", submit(append(good, "--min-quality", "1.1")...), exitUsage, "0 to 1"},
		{"a quality in percent", submit(append(good, "--min-quality", "85%")...), exitUsage, "85%"},
		{"a negative deadline", submit(append(good, "--deadline", "-5s")...), exitUsage, "deadline"},
		{"a price with seven decimals", submit(append(good, "--price", "1.0000001")...), exitUsage, "at most 6"},
		{"a price over the balance", submit(append(good, "--price", "1000")...), exitFailed, "needs 1030 ATP"},
		{"a question without a word", []string{"ask", " "}, exitUsage, "empty"},
		{"a question of several words", []string{"ask", "Who", "is"}, exitUsage, `"is"`},
		{"a question to all", []string{"ask", "Who?", "--to", "open"}, exitUsage, "one platform"},
		{"a question to oneself", []string{"ask", "Who?", "--to", "alpha"}, exitUsage, "this platform itself"},
		{"a question to nobody", []string{"ask", "Who?", "--to", "nobody"}, exitFailed, "nobody"},
		{"a question for nothing", []string{"ask", "Who?", "--price", "0"}, exitUsage, "0 ATP"},
		{"logs of a task that is none", []string{"task", "logs", "abcdefgh"}, exitFailed, "abcdefgh"},
		{"a deadline below the least", submit(append(good, "--deadline", "1s")...), exitUsage, "sage-p2p: --deadline 1s: want 5s to 24h\n"},
		{"an offer below the least", submit(append(good, "--offer", "2s")...), exitUsage, "sage-p2p: --offer 2s: want 5s to 24h\n"},
		{"a reach that is none", submit(append(good, "--horizon", "local/galactic")...), exitUsage, `"galactic"`},
		{"nothing to register", []string{"platform", "register"}, exitUsage, "--offer TYPE=PRICE"},
		{"a horizon that is none", []string{"platform", "register", "--horizon", "far"}, exitUsage, "regional/day/agent"},
		{"two reaches in one dimension", []string{"platform", "register", "--horizon", "local/global"}, exitUsage, `"global"`},
		{"an offer that is none", []string{"platform", "register", "--offer", "vision"}, exitUsage, "TYPE=PRICE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := sit(t)
			s := d.run(tt.args...)
			if s.code != tt.code {
				t.Errorf("exit code %d, want %d", s.code, tt.code)
			}
			first, _, _ := strings.Cut(s.err, "\n")
			if !strings.HasPrefix(first, "sage-p2p: ") || !strings.Contains(s.err, tt.about) {
				t.Errorf("said %q, want a sentence about %q", s.err, tt.about)
			}
			if s.out != "" {
				t.Errorf("printed %q", s.out)
			}
			if n := d.node.Txs(); n != 0 {
				t.Errorf("made %d transactions", n)
			}
		})
	}
}

func TestErrorsAreJSONToo(t *testing.T) {
	s := sit(t).run("transfer", "beta", "5000", "--json")
	var f view.Failure
	if err := json.Unmarshal([]byte(s.err), &f); err != nil {
		t.Fatalf("%v in %q", err, s.err)
	}
	if f.Error.Code != view.CodeInsufficient || f.Error.Hint == "" || s.code != exitFailed {
		t.Errorf("error = %+v, exit code %d", *f.Error, s.code)
	}
}

func TestATokenThatOthersCanReadIsNotUsed(t *testing.T) {
	d := sit(t)
	if err := os.Chmod(filepath.Join(d.home, view.TokenFile), 0o644); err != nil {
		t.Fatal(err)
	}
	s := d.run("transfer", "beta", "1")
	if s.code != exitUnsafe || !strings.Contains(s.err, "chmod 600") || d.node.Txs() != 0 {
		t.Errorf("said %+v with %d transactions", s, d.node.Txs())
	}
}

// Giving up on a wait, by its end or by Ctrl-C, undoes nothing and says so.
func TestStoppingToWaitUndoesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		args []string
		stop bool // by Ctrl-C, when it says that it waits
		code int
	}{
		"its end": {[]string{"transfer", "beta", "1", "--timeout", "20ms"}, false, exitTimeout},
		"Ctrl-C":  {[]string{"transfer", "beta", "1"}, true, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			d := sit(t)
			d.node.Hold = true
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			if tt.stop {
				d.hear = stopper(stop)
			}
			s := d.runCtx(ctx, tt.args...)
			id := apitest.CID("tx 0").String()
			if s.code != tt.code || !strings.Contains(s.err, "stopped waiting") || !strings.Contains(s.err, "sage-p2p --home "+d.home+" tx "+id) {
				t.Errorf("said %+v", s)
			}
			d.node.Release()
			if out := d.ok("tx", id); !strings.Contains(out, "done") {
				t.Errorf("afterwards the transaction is %q", out)
			}
		})
	}
}

// stopper stops something when it is first written to.
type stopper context.CancelFunc

func (s stopper) Write(b []byte) (int, error) {
	s()
	return len(b), nil
}

// What other platforms say of themselves cannot command the terminal.
func TestForeignTextIsHarmlessOnATerminal(t *testing.T) {
	if got, want := clean("a\x1b[2Jb\u202ec\n\xff"), "a?[2Jb?c??"; got != want {
		t.Errorf("clean = %q, want %q", got, want)
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	app := (program{}).app()
	for text, want := range map[string]string{
		"status":                                    "status",
		"status --json":                             "--json status",
		"balance thor --json --home /x":             "--json --home /x balance thor",
		"lock create thor 5 --until +30m":           "lock create --until +30m thor 5",
		"lock create --until=+30m thor 5 --json":    "--json lock create --until=+30m thor 5",
		"--api http://x task list --limit 5 --mine": "--api http://x task list --limit 5 --mine",
		"task submit --input - --type vision":       "task submit --input - --type vision",
		"transfer -- thor -5":                       "transfer -- thor -5",
		"transfer thor 5 --timeout":                 "transfer --timeout",
		"transfer thor 5 --home":                    "--home",
		"transfer thor -5":                          "transfer -- thor -5",
		"tx status":                                 "tx status",
		"--help":                                    "--help",
		"":                                          "",
	} {
		got := arrange(app, append([]string{"sage-p2p"}, strings.Fields(text)...))
		if !slices.Equal(got[1:], strings.Fields(want)) {
			t.Errorf("%q is arranged as %q, want %q", text, got[1:], want)
		}
	}
}

func TestEveryCommandHasUsageAndNoDoubleMeaning(t *testing.T) {
	app := (program{}).app()
	var check func(path string, commands []*cli.Command)
	check = func(path string, commands []*cli.Command) {
		for _, c := range commands {
			name := path + " " + c.Name
			if c.Usage == "" {
				t.Errorf("%s has no usage", name)
			}
			for _, f := range c.Flags {
				if flagOf(app.Flags, "--"+f.Names()[0]) != nil {
					t.Errorf("%s --%s hides a global flag", name, f.Names()[0])
				}
			}
			check(name, c.Subcommands)
		}
	}
	check("sage-p2p", app.Commands)
}

// Help fits a terminal of 80 columns, and says what all commands share.
func TestHelpFitsATerminal(t *testing.T) {
	var check func(path []string, commands []*cli.Command)
	check = func(path []string, commands []*cli.Command) {
		s := command(t.Context(), t.TempDir(), time.Now, "", append(slices.Clone(path), "--help")...)
		name := strings.Join(append([]string{"sage-p2p"}, path...), " ")
		if s.code != exitDone || !strings.Contains(s.out, "usage: "+name) || !strings.Contains(s.out, "--json") {
			t.Errorf("%s --help = %d\n%s%s", name, s.code, s.out, s.err)
		}
		for line := range strings.Lines(s.out) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		for _, c := range commands {
			check(append(slices.Clone(path), c.Name), c.Subcommands)
		}
	}
	check(nil, (program{}).app().Commands)
}

// What is proposed can be copied: it names the same program and home.
func TestProposedCommandsCanBeCopied(t *testing.T) {
	for call, want := range map[string]string{
		"sage-p2p status":                           "sage-p2p",
		"./sage-p2p --home /tmp/alpha status":       "./sage-p2p --home /tmp/alpha",
		"sage-p2p balance --home=/tmp/alpha --json": "sage-p2p --home /tmp/alpha",
		"sage-p2p --api http://127.0.0.1:1 tx x":    "sage-p2p --api http://127.0.0.1:1",
		"/tmp/go-build12/b001/exe/sage-p2p status":  "go run ./cmd/sage-p2p",
		"sage-p2p --home /it's status":              `sage-p2p --home '/it'\''s'`,
		"sage-p2p status --home":                    "sage-p2p --home ''",
	} {
		if got := callOf(strings.Fields(call)); got != want {
			t.Errorf("callOf(%q) = %q, want %q", call, got, want)
		}
	}
	p := program{call: "./sage-p2p --home /x"}
	if got, want := p.typed("see it: sage-p2p status; or sage-p2p up"), "see it: ./sage-p2p --home /x status; or ./sage-p2p --home /x up"; got != want {
		t.Errorf("typed = %q, want %q", got, want)
	}
}
