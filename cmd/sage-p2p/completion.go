package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// completeWord is the hidden first argument by which scripts ask for
// completions: the words of the command line follow.
const completeWord = "__complete"

// completions prints what the last of words may become, one in a line, with
// what it is after a tab.
func (p program) completions(ctx context.Context, words []string) {
	if len(words) == 0 {
		words = []string{""}
	}
	c := completer{ctx: ctx, app: p.app(), home: cmp.Or(os.Getenv("SAGE_HOME"), defaultHome()), api: os.Getenv("SAGE_API")}
	last := len(words) - 1
	for _, f := range c.complete(words[:last], words[last]) {
		fmt.Fprintf(p.out, "%s\t%s\n", f.word, f.about)
	}
}

// scripts teach shells to ask for completions.
var scripts = map[string]string{
	"bash": `# sage-p2p in bash. In ~/.bashrc: source <(sage-p2p completion bash)
_sage_p2p() {
    local IFS=$'\n'
    COMPREPLY=($("${COMP_WORDS[0]/#\~/$HOME}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace
    fi
}
complete -F _sage_p2p sage-p2p
`,
	"zsh": `#compdef sage-p2p
# sage-p2p in zsh. In ~/.zshrc, after compinit: source <(sage-p2p completion zsh)
_sage_p2p() {
    local line
    local -a found shown
    for line in "${(@f)$("${(Q)words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] || continue
        found+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  }")
    done
    if [[ ${#found} == 1 && ${found[1]} == */ ]]; then
        compadd -S '' -- $found
    else
        compadd -l -d shown -a -- found
    fi
}
compdef _sage_p2p sage-p2p
`,
	"fish": `# sage-p2p in fish: sage-p2p completion fish > ~/.config/fish/completions/sage-p2p.fish
function __sage_p2p
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..-1] 2>/dev/null
end
complete -c sage-p2p -f -a '(__sage_p2p)'
`,
}

func (p program) completion() *cli.Command {
	return &cli.Command{
		Name: "completion", ArgsUsage: "bash|zsh|fish", Usage: "a script that lets a shell complete commands, names and IDs",
		Description: "In ~/.bashrc: source <(sage-p2p completion bash)\n" +
			"In ~/.zshrc: source <(sage-p2p completion zsh)\n" +
			"In ~/.config/fish/completions: sage-p2p completion fish > sage-p2p.fish",
		Action: func(c *cli.Context) error {
			if err := countArgs(c, 1, 1); err != nil {
				return err
			}
			script, ok := scripts[c.Args().First()]
			if !ok {
				return usagef("there is no completion for %q", c.Args().First()).hint("want %s", strings.ReplaceAll(c.Command.ArgsUsage, "|", ", "))
			}
			_, err := fmt.Fprint(p.out, script)
			return err
		},
	}
}
