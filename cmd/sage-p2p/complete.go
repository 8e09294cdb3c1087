package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/task/exec"
	"github.com/sage-p2p/sage-p2p/task/exec/programs"
)

// candidate is what a word that was begun may become.
type candidate struct {
	word  string
	about string // what it is, where the word does not say
}

// completePatience is how long a completion waits for a node.
const completePatience = time.Second

// completer completes command lines from the tree of commands: what stands for
// a word in a usage (TASK, FILE, …) says what may stand there.
type completer struct {
	ctx       context.Context
	app       *cli.App
	home, api string
}

// place is where a word stands in a command line.
type place struct {
	commands []*cli.Command
	command  *cli.Command // nil before there is one
	flag     cli.Flag     // whose value the word is, or nil
	plain    int          // how many words without a meaning of their own came before
	only     bool         // -- came: no more flags
}

// complete lists what last may become after words, sorted.
func (c *completer) complete(words []string, last string) []candidate {
	at := c.find(words)
	if last == "=" { // bash parts --flag=value
		last = ""
	}
	var found []candidate
	switch {
	case at.flag != nil:
		found = c.values(at.flag, last)
	case strings.HasPrefix(last, "-") && !at.only:
		found = c.flags(at, last)
	case at.plain == 0 && len(at.commands) > 0:
		for _, k := range at.commands {
			if !k.Hidden {
				found = append(found, candidate{k.Name, k.Usage})
			}
		}
	case at.command != nil:
		found = c.kind(argument(at.command.ArgsUsage, at.plain), last)
	}
	found = slices.DeleteFunc(found, func(f candidate) bool { return !strings.HasPrefix(f.word, last) })
	slices.SortStableFunc(found, func(a, b candidate) int { return strings.Compare(a.word, b.word) })
	return slices.CompactFunc(found, func(a, b candidate) bool { return a.word == b.word })
}

// find reads words as arrange does.
func (c *completer) find(words []string) place {
	at := place{commands: c.app.Commands}
	for _, w := range words {
		if w == "=" {
			continue
		}
		if at.flag != nil {
			c.meet(at.flag, w)
			at.flag = nil
			continue
		}
		if w == "--" {
			at.only = true
			continue
		}
		if strings.HasPrefix(w, "-") && w != "-" && !at.only && !isNumber(w) {
			f := c.flag(at, w)
			if _, value, joined := strings.Cut(w, "="); joined && f != nil {
				c.meet(f, value)
			} else if f != nil && takesValue(f) {
				at.flag = f
			}
			continue
		}
		if k := find(at.commands, w); k != nil && at.plain == 0 {
			at.command, at.commands = k, k.Subcommands
			continue
		}
		at.plain++
	}
	return at
}

// meet takes note of the flags that say which node is meant.
func (c *completer) meet(f cli.Flag, value string) {
	switch f.Names()[0] {
	case "home":
		c.home = value
	case "api":
		c.api = value
	}
}

// flag is the flag that a word names, if it can stand there.
func (c *completer) flag(at place, word string) cli.Flag {
	if at.command != nil {
		if f := flagOf(at.command.Flags, word); f != nil {
			return f
		}
	}
	return flagOf(c.app.Flags, word)
}

// flags lists flags, or values of one as --flag=value.
func (c *completer) flags(at place, last string) []candidate {
	if name, value, joined := strings.Cut(last, "="); joined {
		f := c.flag(at, name)
		if f == nil || !takesValue(f) {
			return nil
		}
		found := c.values(f, value)
		for i := range found {
			found[i].word = name + "=" + found[i].word
		}
		return found
	}
	all := c.app.Flags
	if at.command != nil {
		all = slices.Concat(at.command.Flags, all)
	}
	found := []candidate{{"--help", "all about it"}}
	for _, f := range all {
		usage := ""
		if d, ok := f.(cli.DocGenerationFlag); ok {
			usage = strings.ReplaceAll(d.GetUsage(), "`", "")
		}
		found = append(found, candidate{"--" + f.Names()[0], usage})
	}
	return found
}

// fixed are the values of flags that have only a few.
var fixed = map[string][]string{
	"state":      {"posted", "accepted", "proven", "witnessing", "settled"},
	"verify":     {"mutual", "recompute", "checker"},
	"complexity": {"low", "medium", "high", "critical"},
	"profile":    {"edge", "server"},
	"log-level":  {"debug", "info", "warn", "error"},
	"level":      {"debug", "info", "warn", "error"},
	"log-format": {"text", "json"},
	"runtime":    {"wasm"},
	"horizon":    slices.Concat(reaches[:]...),
}

// values lists what a flag may be.
func (c *completer) values(f cli.Flag, last string) []candidate {
	name := f.Names()[0]
	switch name {
	case "program":
		return append(plainWords(programs.Names()), fileNames(last)...)
	case "to":
		return append(c.platforms(last), plainWords([]string{view.ToAuto, view.ToOpen})...)
	}
	if words, ok := fixed[name]; ok {
		return plainWords(words)
	}
	if d, ok := f.(cli.DocGenerationFlag); ok {
		if parts := strings.SplitN(d.GetUsage(), "`", 3); len(parts) == 3 {
			return c.kind(parts[1], last)
		}
	}
	return nil
}

// argument is what stands for the n-th word in a usage such as TASK [PLATFORM].
func argument(usage string, n int) string {
	usage, _, _ = strings.Cut(usage, "--")
	if all := strings.Fields(usage); n < len(all) {
		return strings.Trim(all[n], "[]….")
	}
	return ""
}

// kind lists what may stand for a word of a usage.
func (c *completer) kind(word, last string) []candidate {
	switch word {
	case "FILE", "DIR":
		return fileNames(last)
	case "P", "TO", "ACCOUNT", "PLATFORM":
		return c.platforms(last)
	case "TASK":
		return c.tasks(last)
	case "MODEL":
		return c.models()
	case "LOCK":
		return c.locks(last)
	}
	if word != "" && word == strings.ToLower(word) { // words that are meant as they stand
		return plainWords(strings.Split(word, "|"))
	}
	return nil
}

func plainWords(words []string) []candidate {
	var found []candidate
	for _, w := range words {
		found = append(found, candidate{word: w})
	}
	return found
}

// fileNames lists files as far as they are typed; a folder ends in a slash.
func fileNames(last string) []candidate {
	dir, _ := filepath.Split(last)
	entries, err := os.ReadDir(filepath.Join(".", dir))
	if filepath.IsAbs(dir) {
		entries, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil
	}
	var found []candidate
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(filepath.Base(last), ".")
		if name := dir + e.Name(); !hidden && clean(name) == name {
			if e.IsDir() {
				name += "/"
			}
			found = append(found, candidate{word: name})
		}
	}
	return found
}

// ask asks the node that is meant. One that does not answer completes nothing.
func ask[V any](c *completer, question func(context.Context, *client.Client) (V, error)) (answer V) {
	node, err := client.Open(c.home, c.api)
	if err != nil {
		return answer
	}
	defer node.Close()
	ctx, cancel := context.WithTimeout(c.ctx, completePatience)
	defer cancel()
	if v, err := question(ctx, node); err == nil {
		answer = v
	}
	return answer
}

func (c *completer) platforms(last string) []candidate {
	var found []candidate
	for _, p := range ask(c, func(ctx context.Context, n *client.Client) ([]view.Platform, error) { return n.Platforms(ctx) }) {
		if p.Name != "" && clean(p.Name) == p.Name {
			found = append(found, candidate{p.Name, short(p.PeerID.String())})
		}
		if len(last) >= 4 { // one who types an ID, as short names it
			found = append(found, id(p.PeerID.String(), last, who(p.Name, p.PeerID)))
		}
	}
	return found
}

func (c *completer) models() []candidate {
	var found []candidate
	for _, m := range ask(c, func(ctx context.Context, n *client.Client) ([]view.Model, error) { return n.Models(ctx) }) {
		name, about := strings.TrimPrefix(m.ID, exec.LLMPrefix), strings.Join(m.Platforms, ", ")
		if m.Here {
			about = "here"
		}
		if clean(name) == name {
			found = append(found, candidate{name, clean(about)})
		}
	}
	return found
}

// completedTasks is how many of the newest tasks a completion knows.
const completedTasks = 100

func (c *completer) tasks(last string) []candidate {
	page := ask(c, func(ctx context.Context, n *client.Client) (view.Tasks, error) {
		return n.Tasks(ctx, view.TaskFilter{Limit: completedTasks})
	})
	var found []candidate
	for _, t := range page.Tasks {
		about := clean(t.Spec.Type) + " " + who(t.RequesterName, t.Requester) + " → " + executorOf(t) + " " + stateOf(t)
		found = append(found, id(t.ID.String(), last, about))
	}
	return found
}

func (c *completer) locks(last string) []candidate {
	var found []candidate
	for _, l := range ask(c, func(ctx context.Context, n *client.Client) ([]view.Lock, error) { return n.Locks(ctx) }) {
		about := coins(l.AmountUATP) + " " + who(l.PayerName, l.Payer) + " → " + who(l.PayeeName, l.Payee)
		found = append(found, id(l.ID.String(), last, about))
	}
	return found
}

// id is an ID in the form that was begun: whole, in short, or else its end,
// which is what tells IDs apart.
func id(whole, last, about string) candidate {
	for _, form := range []string{whole[max(0, len(whole)-6):], short(whole)} {
		if strings.HasPrefix(form, last) {
			return candidate{form, about}
		}
	}
	return candidate{whole, about}
}
