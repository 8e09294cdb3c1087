package main

import (
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sage-p2p/sage-p2p/node/api/apitest"
)

// words are what a line, whose last word was begun, may become.
func (d *desk) words(line string) []string {
	d.t.Helper()
	typed := strings.Split(line, " ")
	last := len(typed) - 1
	c := completer{ctx: d.t.Context(), app: (program{}).app(), home: d.home}
	var words []string
	for _, f := range c.complete(typed[:last], typed[last]) {
		words = append(words, f.word)
	}
	return words
}

func TestWordsAreCompletedByWhatTheyStandFor(t *testing.T) {
	d := eventful(t)
	task, lock := apitest.CID("a task").String(), apitest.CID("lock 1").String()
	end := func(id string) string { return id[len(id)-6:] }
	t.Chdir(files(t))
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	everyone := []string{"alpha", "beta", "delta", "gamma"}
	for line, want := range map[string][]string{
		"tra":               {"transfer"},
		"lock ":             {"commit", "create", "list", "rollback"},
		"--home /x task li": {"list"},
		"transfer ":         everyone,
		"transfer b":        {"beta"},
		"transfer beta ":    nil,
		"transfer --new ":   everyone,
		"transfer " + short(apitest.ID("beta").String())[:4]: slices.Sorted(slices.Values([]string{
			short(apitest.ID("alpha").String()), short(apitest.ID("beta").String()), short(apitest.ID("gamma").String()), short(apitest.ID("delta").String()),
		})),
		"balance d":                           {"delta"},
		"platform show g":                     {"gamma"},
		"task show ":                          {end(task)},
		"task show bafyrei":                   {task},
		"task wait --timeout 1s " + task[:20]: {task},
		"task acknowledge bafy…":              {short(task)},
		"lock commit ":                        {end(lock)},
		"lock create gam":                     {"gamma"},
		"task list --st":                      {"--state"},
		"task list --state p":                 {"posted", "proven"},
		"task list --state=s":                 {"--state=settled"},
		"task list --state = s":               {"settled"}, // as bash parts it
		"task list --json --m":                {"--mine"},
		"task submit --to a":                  {"alpha", "auto"},
		"ask Who --model ":                    {"large", "small"},
		"ask --to be":                         {"beta"},
		"task logs --f":                       {"--follow"},
		"task logs bafy…":                     {short(task)},
		"platform register --horizon s":       {"session", "simple", "society"},
		"task submit --program ed":            {"edges"},
		"task submit --program pr":            {"prog.wasm"},
		"task submit --input fo":              {"folder/"},
		"task submit --input ./in":            {"./input"},
		"up --profile ":                       {"edge", "server"},
		"--log-level w":                       {"warn"},
		"completion ":                         {"bash", "fish", "zsh"},
		"transfer -- --":                      nil,
		"nothing ":                            nil,
		"block ":                              nil,
	} {
		if diff := cmp.Diff(want, d.words(line)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", line, diff)
		}
	}
	if all := d.words(""); !slices.Contains(all, "shell") || slices.Contains(all, completeWord) {
		t.Errorf("the commands are %q", all)
	}
}

// Without a node, what needs none is completed all the same, and at once.
func TestCompletionNeedsNoNode(t *testing.T) {
	d := &desk{t: t, home: t.TempDir()}
	if got := d.words("task show "); got != nil {
		t.Errorf("tasks of no node: %q", got)
	}
	if got := d.words("task sh"); !slices.Equal(got, []string{"show"}) {
		t.Errorf("task sh becomes %q", got)
	}
}

// Each shell that is here is asked itself.
func TestShellsComplete(t *testing.T) {
	d := eventful(t)
	t.Setenv(asProgram, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, programName)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for shell, tt := range map[string]struct {
		script string
		about  bool // it shows what each word is, too
	}{
		"bash": {`source <(sage-p2p completion bash); COMP_WORDS=(sage-p2p --home %s transfer ""); COMP_CWORD=4; _sage_p2p; printf "%%s\n" "${COMPREPLY[@]}"`, false},
		"fish": {`sage-p2p completion fish | source; complete -C "sage-p2p --home %s transfer "`, true},
		"zsh": {`compdef() { :; }; compadd() { while [[ $1 != -- && -n $1 ]]; do shift; done; print -l -- ${(P)${2:-found}} }
			source <(sage-p2p completion zsh); words=(sage-p2p --home %s transfer ""); CURRENT=5; _sage_p2p`, false},
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := osexec.LookPath(shell)
			if err != nil {
				t.Skipf("%s is not installed: apt-get install %s", shell, shell)
			}
			out, err := osexec.CommandContext(t.Context(), path, "-c", fmt.Sprintf(tt.script, d.home)).CombinedOutput()
			var got []string
			for line := range strings.Lines(string(out)) {
				word, about, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
				if got = append(got, word); tt.about && !strings.HasPrefix(about, "12D3…") {
					t.Errorf("of %s it says %q", word, about)
				}
			}
			if diff := cmp.Diff([]string{"alpha", "beta", "delta", "gamma"}, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if s := d.run("completion", "tcsh"); s.code != exitUsage || !strings.Contains(s.err, "bash, zsh, fish") {
		t.Errorf("completion tcsh = %+v", s)
	}
}

func TestCandidatesFitTheScreen(t *testing.T) {
	var found []candidate
	for i := range listed + 2 {
		found = append(found, candidate{fmt.Sprint("word", i), strings.Repeat("long ", 40)})
	}
	lines := strings.Split(strings.TrimSpace(candidates(found, 80)), "\n")
	if len(lines) != listed+1 || lines[listed] != "… and 2 more" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
	for _, l := range lines {
		if len([]rune(l)) >= 80 {
			t.Errorf("%d columns: %s", len([]rune(l)), l)
		}
	}
	if got := common([]candidate{{"bafy…4a", ""}, {"bafy…4b", ""}, {"bafyx", ""}}); got != "bafy" {
		t.Errorf("common = %q", got)
	}
}
