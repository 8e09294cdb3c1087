package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/node/api/view"
)

func (p program) config() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "the settings of a node",
		Subcommands: []*cli.Command{{
			Name:  "show",
			Usage: "what up would run with here, and where each value comes from",
			Description: "A flag comes before the environment, that before HOME/" + configFile + ", that\n" +
				"before the default. All flags of up may be given, to see what they would do;\n" +
				"those that a running node was started with are not seen. A platform that is\n" +
				"registered keeps its name, whatever is said here.",
			Flags:  upFlags(),
			Action: p.showConfig,
		}},
	}
}

// inForce is what `config show --json` prints.
type inForce struct {
	Home     string        `json:"home"`
	File     string        `json:"file"`
	Settings []settingView `json:"settings"`
}

type settingView struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`  // text, number, true or false, or a list of texts
	Source string `json:"source"` // flag, env, file or default
}

func (p program) showConfig(c *cli.Context) error {
	if err := countArgs(c, 0, 0); err != nil {
		return err
	}
	s, sources, err := p.resolve(c)
	if err != nil {
		return err
	}
	v := inForce{Home: s.Home, File: filepath.Join(s.Home, configFile)}
	for _, key := range settingKeys() {
		v.Settings = append(v.Settings, settingView{key, s.value(key), sources[key]})
	}
	if err := p.show(c, v, func(w io.Writer) { printConfig(w, v) }); err != nil {
		return err
	}
	return s.check()
}

// check refuses what no node can run with, as a misuse.
func (s *settings) check() error {
	if err := s.Validate(); err != nil {
		return usagef("%v", err).hint("see where each value comes from with: sage-p2p config show")
	}
	_, err := logger(io.Discard, s.LogLevel, s.LogFormat)
	return err
}

func printConfig(w io.Writer, v inForce) {
	there := ""
	if _, err := os.Stat(v.File); errors.Is(err, fs.ErrNotExist) {
		there = " (not there yet: up writes it)"
	}
	fmt.Fprintf(w, "home %s\nfile %s%s\n", clean(v.Home), clean(v.File), there)
	if _, err := os.Stat(filepath.Join(v.Home, view.AddrFile)); err == nil {
		fmt.Fprintln(w, "a node runs here; flags that it was started with are not among these")
	}
	table(w, "KEY|FROM|VALUE", func(row func(...any)) {
		for _, s := range v.Settings {
			key, source := s.Key, origin(s.Source, s.Key)
			for _, line := range linesOf(s.Value) {
				row(key, source, line)
				key, source = "", ""
			}
		}
	})
}

// origin names a source, so that it can be changed there.
func origin(source, key string) string {
	switch source {
	case fromFlag:
		return "--" + flagOfKey(key)
	case fromEnv:
		return "$" + envOfKey(key)
	default:
		return source
	}
}

// linesOf is a value as people read it, each text of a list in its own line.
func linesOf(value any) []string {
	switch v := value.(type) {
	case []string:
		if len(v) == 0 {
			return []string{"–"}
		}
		var lines []string
		for _, text := range v {
			lines = append(lines, clean(text))
		}
		return lines
	case string:
		if v == "" {
			return []string{"–"}
		}
		return []string{clean(v)}
	default:
		return []string{fmt.Sprint(v)}
	}
}

// configTemplate is a config.toml that changes nothing: every key with what it
// means and its default, commented out.
func configTemplate() string {
	var b strings.Builder
	b.WriteString("# The settings of this node. Every key may be left out: what is commented out\n" +
		"# shows its default. A flag of `sage-p2p up` (--api-addr for api_addr) comes\n" +
		"# before the environment (SAGE_API_ADDR), that before this file. Relative file\n" +
		"# names are relative to the folder of this file. A node reads it when it starts.\n" +
		"# What is in force: sage-p2p config show\n")
	defaults := defaultSettings()
	flags := append(upFlags(), logFlags()...)
	for _, key := range settingKeys() {
		usage := flagOf(flags, "--"+flagOfKey(key)).(cli.DocGenerationFlag).GetUsage()
		b.WriteString("\n")
		for _, text := range wrap(strings.ReplaceAll(usage, "`", ""), helpWidth-2) {
			fmt.Fprintf(&b, "# %s\n", text)
		}
		fmt.Fprintf(&b, "# %s\n", tomlLine(key, defaults.value(key)))
	}
	return b.String()
}

// offerConfig writes the template into a home that has no config.toml.
func offerConfig(home string) error {
	f, err := os.OpenFile(filepath.Join(home, configFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // the operator's
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(configTemplate())
	return errors.Join(err, f.Close())
}
