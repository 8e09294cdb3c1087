package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node/api/client"
	"github.com/sage-p2p/sage-p2p/node/api/view"
	"github.com/sage-p2p/sage-p2p/node/signer"
)

// The exit codes of every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnsafe      = 3 // refused for safety: two nodes on one key, a key that others can read, …
	exitUnreachable = 4
	exitTimeout     = 5
)

// refusal is a "no" of the command line itself: a sentence, its remedy, and
// the exit code.
type refusal struct {
	code    int
	message string
	remedy  string
}

func (r *refusal) Error() string { return r.message }

// hint adds the remedy.
func (r *refusal) hint(format string, args ...any) *refusal {
	r.remedy = fmt.Sprintf(format, args...)
	return r
}

// usagef blames what was typed.
func usagef(format string, args ...any) *refusal {
	return &refusal{code: exitUsage, message: fmt.Sprintf(format, args...)}
}

// failedf is a failure that is nobody's misuse.
func failedf(format string, args ...any) *refusal {
	return &refusal{code: exitFailed, message: fmt.Sprintf(format, args...)}
}

// usageFromFlags turns an error of the flag parser into ours.
func usageFromFlags(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name = c.Command.HelpName
	}
	return usagef("%s", flagError(err.Error())).hint("see the flags with: %s --help", name)
}

// The errors of the flag parser, as far as they are known.
var (
	unknownFlag = regexp.MustCompile(`^flag provided but not defined: -+(.*)$`)
	emptyFlag   = regexp.MustCompile(`^flag needs an argument: -+(.*)$`)
	wrongEnv    = regexp.MustCompile(`^could not parse (".*") as .* from environment variable "([^"]*)" for flag .*$`)
	wrongFlag   = regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?-+([^ :]*): .*$`)
)

// flagError says in our words what the flag parser says.
func flagError(text string) string {
	for pattern, ours := range map[*regexp.Regexp]string{
		unknownFlag: "there is no flag --$1",
		emptyFlag:   "--$1 needs a value",
		wrongEnv:    "$$$2 cannot be $1: want what the help shows, such as a whole number, or true or false",
		wrongFlag:   "--$2 cannot be $1: want what the help shows, such as 90s for a time, or a whole number",
	} {
		if pattern.MatchString(text) {
			return pattern.ReplaceAllString(text, ours)
		}
	}
	return text
}

// exitCode classifies err.
func exitCode(err error) int {
	var (
		refused *refusal
		no      *view.Error
	)
	switch {
	case errors.As(err, &refused):
		return refused.code
	case errors.As(err, &no) && no.Code == view.CodeUnsafe, isUnsafe(err):
		return exitUnsafe
	case errors.As(err, &no) && no.Code == view.CodeTimeout, errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	case errors.As(err, &no) && no.Code == view.CodeInvalid:
		return exitUsage
	default:
		return exitFailed
	}
}

// isUnsafe reports an error after which signing could do harm.
func isUnsafe(err error) bool {
	for _, class := range []error{signer.ErrInUse, signer.ErrExposed, signer.ErrNeedsRecovery, signer.ErrForeign, signer.ErrRefused, signer.ErrElsewhere, store.ErrInUse, store.ErrForeign} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// explain prints what went wrong, why, and what to do.
func (p program) explain(err error, asJSON bool) {
	e := shown(err)
	if asJSON {
		b, encodeErr := json.Marshal(view.Failure{Error: e})
		if encodeErr == nil {
			fmt.Fprintf(p.err, "%s\n", escaped(b))
			return
		}
	}
	fmt.Fprintf(p.err, "sage-p2p: %s\n", harmless(reason(e.Message)))
	if e.Height > 0 {
		fmt.Fprintf(p.err, "  judged at height %d\n", e.Height)
	}
	if e.Hint != "" {
		fmt.Fprintf(p.err, "  %s\n", harmless(p.typed(e.Hint)))
	}
}

// prefix is where in the program an error comes from, which tells a user nothing.
var prefix = regexp.MustCompile(`^(?:atp|bft|chain|client|config|exec|mempool|node|p2p|signer|store|task): (?:refused: )?`)

// reason is what an error says to a user: in one line, without its way there.
func reason(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		for prefix.MatchString(line) {
			line = prefix.ReplaceAllString(line, "")
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

// shown is err as the API would say it.
func shown(err error) *view.Error {
	var (
		no      *view.Error
		refused *refusal
		missing *fs.PathError
	)
	switch {
	case errors.As(err, &no) && no.Code == view.CodeUnauthorized:
		told := *no
		told.Hint = "only the owner of a node may tell it to: name the folder of your own node with --home"
		return &told
	case errors.As(err, &no):
		return no
	case errors.As(err, &refused):
		return &view.Error{Code: codeOf(refused.code), Message: refused.message, Hint: refused.remedy}
	case errors.Is(err, client.ErrUnreachable):
		return &view.Error{
			Code: "unreachable", Message: strings.TrimPrefix(err.Error(), "client: "), Retryable: true,
			Hint: "start one with: sage-p2p up; or name the folder of one that runs with --home, or its address with --api",
		}
	case errors.Is(err, context.DeadlineExceeded):
		return &view.Error{Code: view.CodeTimeout, Message: "the node did not answer in time", Retryable: true}
	case errors.Is(err, context.Canceled):
		return &view.Error{Code: "interrupted", Message: "interrupted"}
	case errors.Is(err, signer.ErrInUse), errors.Is(err, store.ErrInUse):
		return &view.Error{Code: view.CodeUnsafe, Message: err.Error(), Hint: "one home is for one node: name another folder with --home"}
	case isUnsafe(err):
		return &view.Error{Code: view.CodeUnsafe, Message: err.Error()}
	case errors.Is(err, syscall.EADDRINUSE):
		return &view.Error{Code: "failed", Message: err.Error(), Hint: "choose another port, or 0 for any free one"}
	case errors.As(err, &missing):
		return &view.Error{Code: view.CodeInvalid, Message: fmt.Sprintf("%s: %v", missing.Path, missing.Err)}
	default:
		return &view.Error{Code: "failed", Message: err.Error()}
	}
}

func codeOf(exit int) view.Code {
	switch exit {
	case exitUsage:
		return "usage"
	case exitUnsafe:
		return view.CodeUnsafe
	case exitUnreachable:
		return "unreachable"
	case exitTimeout:
		return view.CodeTimeout
	default:
		return "failed"
	}
}

// wantsJSON finds --json where the parser never came to it.
func wantsJSON(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "--json" || a == "-json" || a == "--json=true" })
}

// checkURL refuses what --api cannot be, as a misuse.
func checkURL(text string) error {
	if text == "" {
		return nil
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "http" || u.Host == "" {
		return usagef("--api %q is no address of a node's API", text).hint("it looks like http://127.0.0.1:7423")
	}
	return nil
}
