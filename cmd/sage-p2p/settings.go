package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/chain/store"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// configFile is the name of the settings in a home.
const configFile = "config.toml"

// settings are what `up` runs with. Flags come before the environment, that
// before the file in the home, that before the defaults.
type settings struct {
	node.Config
	LogLevel  string `toml:"log_level"`
	LogFormat string `toml:"log_format"`
}

func defaultSettings() settings {
	return settings{Config: node.DefaultConfig(), LogLevel: "warn", LogFormat: "text"}
}

// settingKeys are the keys of config.toml, in the order of the fields.
func settingKeys() []string {
	var keys []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[settings]()) {
		if key := f.Tag.Get("toml"); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

// field is the setting of a key.
func (s *settings) field(key string) reflect.Value {
	v := reflect.ValueOf(s).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		if key != "" && f.Tag.Get("toml") == key {
			return v.FieldByIndex(f.Index)
		}
	}
	return reflect.Value{}
}

// value is a setting as TOML and JSON have it.
func (s *settings) value(key string) any {
	switch v := s.field(key).Interface().(type) {
	case store.Profile:
		return v.String()
	case []string:
		return append([]string{}, v...)
	default:
		return v
	}
}

// flagOfKey is the flag, without its dashes, that sets the same as a key.
func flagOfKey(key string) string { return strings.ReplaceAll(key, "_", "-") }

// envOfKey is the variable that sets the same as a key.
func envOfKey(key string) string { return "SAGE_" + strings.ToUpper(key) }

// The sources of a setting.
const (
	fromFlag    = "flag"
	fromEnv     = "env"
	fromFile    = "file"
	fromDefault = "default"
	fromHome    = "home"   // the network of the federation that the home has
	fromInvite  = "invite" // the network to which one is invited
)

// resolve finds what is in force for a home, and the source of each key.
func (p program) resolve(c *cli.Context) (settings, map[string]string, error) {
	s, sources := defaultSettings(), map[string]string{}
	s.Home = c.String("home")
	for _, key := range settingKeys() {
		sources[key] = fromDefault
	}
	if err := s.readFile(filepath.Join(s.Home, configFile), sources); err != nil {
		return settings{}, nil, err
	}
	for _, key := range settingKeys() {
		name := flagOfKey(key)
		if !c.IsSet(name) {
			continue
		}
		if err := setFromFlag(c, name, s.field(key)); err != nil {
			return settings{}, nil, err
		}
		sources[key] = fromEnv
		if p.typedFlag(name) {
			sources[key] = fromFlag
		}
	}
	return s, sources, s.adopt(sources)
}

// adopt takes the invite out of its file, and the name of the federation from the
// home or the invite, unless it was chosen.
func (s *settings) adopt(sources map[string]string) error {
	if file, ok := strings.CutPrefix(s.Join, "@"); ok {
		raw, err := os.ReadFile(file)
		if err != nil {
			return noFile("invite", file, err)
		}
		s.Join = strings.TrimSpace(string(raw))
	}
	if sources["network"] != fromDefault {
		return nil
	}
	if g, err := readGenesis(filepath.Join(s.Home, genesisFile)); err == nil {
		if s.Network != g.Network {
			s.Network, sources["network"] = g.Network, fromHome
		}
		return nil
	}
	if invite, err := wire.ParseInvite(s.Join); err == nil && s.Network != invite.Network {
		s.Network, sources["network"] = invite.Network, fromInvite
	}
	return nil
}

// setFromFlag sets a setting to what its flag, or the variable of that, says.
func setFromFlag(c *cli.Context, name string, into reflect.Value) (err error) {
	switch v := into.Addr().Interface().(type) {
	case *string:
		*v = c.String(name)
	case *[]string:
		*v = c.StringSlice(name)
	case *int:
		*v = c.Int(name)
	case *bool:
		*v = c.Bool(name)
	case *store.Profile:
		if *v, err = store.ParseProfile(c.String(name)); err != nil {
			return usagef("--%s %q: want edge or server", name, c.String(name))
		}
	default:
		return fmt.Errorf("config: no flag can set a %s", into.Type())
	}
	return nil
}

// typedFlag reports whether a flag was typed, rather than set by a variable.
func (p program) typedFlag(name string) bool {
	for _, arg := range p.args {
		if arg == "--" {
			return false
		}
		if given, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "="); strings.HasPrefix(arg, "-") && given == name {
			return true
		}
	}
	return false
}

// readFile reads config.toml over s. A file that is not there says nothing.
func (s *settings) readFile(file string, sources map[string]string) error {
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return noFile("configuration", file, err)
	}
	said := map[string]any{}
	if err := toml.Unmarshal(raw, &said); err != nil {
		return noTOML(file, err)
	}
	d := toml.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return badConfig(file, err)
	}
	for key := range said {
		sources[key] = fromFile
	}
	for _, path := range []*string{&s.GenesisFile, &s.ParamsFile, &s.OpenAIKeyFile} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(file), *path)
		}
	}
	if name, ok := strings.CutPrefix(s.Join, "@"); ok && !filepath.IsAbs(name) {
		s.Join = "@" + filepath.Join(filepath.Dir(file), name)
	}
	return nil
}

// badConfig blames each line of config.toml that cannot be.
func badConfig(file string, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var lines []string
		for _, e := range unknown.Errors {
			line, _ := e.Position()
			key := strings.Join(e.Key(), ".")
			lines = append(lines, fmt.Sprintf("%s:%d: there is no key %q%s", file, line, key, meant(key, settingKeys())))
		}
		keys := wrap("the keys are: "+strings.Join(settingKeys(), ", "), helpWidth-2)
		return usagef("%s", strings.Join(lines, "\n")).hint("%s", strings.Join(keys, "\n  "))
	}
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) {
		return noTOML(file, err)
	}
	line, _ := wrong.Position()
	key := strings.Join(wrong.Key(), ".")
	f := new(settings).field(key)
	if !f.IsValid() {
		return noTOML(file, err)
	}
	d := defaultSettings()
	return usagef("%s:%d: %s: want %s", file, line, key, kindOf(f)).hint("the default is: %s", tomlLine(key, d.value(key)))
}

// noTOML blames the line at which a file ceases to be TOML.
func noTOML(file string, err error) error {
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		file = fmt.Sprintf("%s:%d", file, line)
	}
	return usagef("%s: this is no valid TOML: %s", file, strings.TrimPrefix(err.Error(), "toml: ")).
		hint(`a line is a key, = and a value: name = "thor"; # begins a comment`)
}

// tomlLine is a line of config.toml. The values of settings look in TOML as
// they do in JSON.
func tomlLine(key string, value any) string {
	b, err := json.Marshal(value)
	if err != nil {
		return key // no setting has such a value
	}
	return fmt.Sprintf("%s = %s", key, b)
}

// kindOf says what a setting looks like in TOML.
func kindOf(f reflect.Value) string {
	switch f.Interface().(type) {
	case store.Profile:
		return `"edge" or "server"`
	case []string:
		return `a list of texts, such as ["a", "b"]`
	case int:
		return "a whole number, such as 4"
	case bool:
		return "true or false"
	default:
		return `a text in quotes, such as "thor"`
	}
}

// meant asks for what may have been meant by a name that is none.
func meant(name string, known []string) string {
	best, least := "", len(name)/2+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters must be changed, added or left out to get from
// a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
