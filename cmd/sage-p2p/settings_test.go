package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"

	"github.com/sage-p2p/sage-p2p/bft"
	"github.com/sage-p2p/sage-p2p/node"
	"github.com/sage-p2p/sage-p2p/node/wire"
)

// show runs `config show` in a home.
func showConfig(t *testing.T, home string, args ...string) map[string]settingView {
	t.Helper()
	s := command(t.Context(), home, time.Now, "", append([]string{"config", "show", "--json"}, args...)...)
	if s.code != exitDone {
		t.Fatalf("config show %v = %+v", args, s)
	}
	var v inForce
	if err := json.Unmarshal([]byte(s.out), &v); err != nil {
		t.Fatal(err)
	}
	byKey := map[string]settingView{}
	for _, s := range v.Settings {
		byKey[s.Key] = s
	}
	return byKey
}

func writeConfig(t *testing.T, home, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(home, configFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEverySettingHasAKeyAFlagAndAVariable(t *testing.T) {
	config := reflect.TypeFor[node.Config]()
	for i := range config.NumField() {
		f := config.Field(i)
		if key := f.Tag.Get("toml"); f.Name != "Home" && (key == "" || key == "-") {
			t.Errorf("Config.%s has no key in %s", f.Name, configFile)
		}
	}
	flags := append(upFlags(), logFlags()...)
	if have, want := len(flags), len(settingKeys()); have != want {
		t.Errorf("%d flags for %d settings", have, want)
	}
	for _, key := range settingKeys() {
		f, ok := flagOf(flags, "--"+flagOfKey(key)).(cli.DocGenerationFlag)
		if !ok {
			t.Errorf("no flag sets %s", key)
			continue
		}
		if diff := cmp.Diff([]string{envOfKey(key)}, f.GetEnvVars()); diff != "" {
			t.Errorf("the variable of %s (-want +got):\n%s", key, diff)
		}
	}
}

// inviteOf is an invite to a federation named lan.
func inviteOf(secret byte) string {
	return wire.Invite{
		Network: "lan", Genesis: [32]byte{1}, Secret: [16]byte{secret}, Until: 1_900_000_000_000,
		Peers: []wire.Contact{{ID: bft.IDFromKey([32]byte{7}), Addrs: []string{"/ip4/1.2.3.4/tcp/7422"}}},
	}.String()
}

// Each setting is tried in all four places. A setting that is not in this table
// fails the test.
func TestFlagsComeBeforeTheEnvironmentTheFileAndTheDefault(t *testing.T) {
	const a, b = "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"
	const peer = "/p2p/12D3KooWKRuXKWY5z38spFz59Tsus2axiGWH2N8pjGsasg9CnNej"
	table := map[string]struct {
		file      string // TOML
		env, flag string
		want      [3]any // what these three are
	}{
		"name":            {`"thor"`, "odin", "loki", [3]any{"thor", "odin", "loki"}},
		"network":         {`"home"`, "work", "field", [3]any{"home", "work", "field"}},
		"profile":         {`"server"`, "edge", "server", [3]any{"server", "edge", "server"}},
		"listen":          {`["` + a + `"]`, a + "," + b, b, [3]any{[]any{a}, []any{a, b}, []any{b}}},
		"bootstrap":       {`["` + a + peer + `"]`, b + peer, a + peer, [3]any{[]any{a + peer}, []any{b + peer}, []any{a + peer}}},
		"api_addr":        {`"127.0.0.1:1"`, "127.0.0.1:2", "127.0.0.1:3", [3]any{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}},
		"genesis":         {`"/a/g.json"`, "/b/g.json", "/c/g.json", [3]any{"/a/g.json", "/b/g.json", "/c/g.json"}},
		"expect":          {"1", "2", "3", [3]any{1.0, 2.0, 3.0}},
		"params":          {`"/a/p.json"`, "/b/p.json", "/c/p.json", [3]any{"/a/p.json", "/b/p.json", "/c/p.json"}},
		"observer":        {"true", "false", "true", [3]any{true, false, true}},
		"no_mdns":         {"true", "false", "true", [3]any{true, false, true}},
		"no_work":         {"true", "false", "true", [3]any{true, false, true}},
		"no_witness":      {"true", "false", "true", [3]any{true, false, true}},
		"no_review":       {"true", "false", "true", [3]any{true, false, true}},
		"openai_url":      {`"http://a:1/v1"`, "http://b:1/v1", "http://c:1/v1", [3]any{"http://a:1/v1", "http://b:1/v1", "http://c:1/v1"}},
		"openai_models":   {`["a"]`, "a,b", "b", [3]any{[]any{"a"}, []any{"a", "b"}, []any{"b"}}},
		"openai_key_file": {`"/a/key"`, "/b/key", "/c/key", [3]any{"/a/key", "/b/key", "/c/key"}},
		"openai_price":    {`"1"`, "2", "0.5", [3]any{"1", "2", "0.5"}},
		"log_level":       {`"debug"`, "info", "error", [3]any{"debug", "info", "error"}},
		"log_format":      {`"json"`, "text", "json", [3]any{"json", "text", "json"}},
		"public":          {"true", "false", "true", [3]any{true, false, true}},
		"relay":           {"true", "false", "true", [3]any{true, false, true}},
		"announce":        {`["` + a + `"]`, a + "," + b, b, [3]any{[]any{a}, []any{a, b}, []any{b}}},
		"join":            {`"` + inviteOf(1) + `"`, inviteOf(2), inviteOf(3), [3]any{inviteOf(1), inviteOf(2), inviteOf(3)}},
	}
	for _, key := range settingKeys() {
		tt, ok := table[key]
		if !ok {
			t.Errorf("the table lacks %s", key)
			continue
		}
		t.Run(key, func(t *testing.T) {
			home := t.TempDir()
			check := func(source string, want any, args ...string) {
				t.Helper()
				got := showConfig(t, home, args...)[key]
				if diff := cmp.Diff(settingView{key, want, source}, got); diff != "" {
					t.Errorf("from %s (-want +got):\n%s", source, diff)
				}
			}
			defaults := defaultSettings()
			var byDefault any
			if err := json.Unmarshal([]byte(strings.TrimPrefix(tomlLine("", defaults.value(key)), " = ")), &byDefault); err != nil {
				t.Fatal(err)
			}
			check(fromDefault, byDefault)
			writeConfig(t, home, key+" = "+tt.file+"\n")
			check(fromFile, tt.want[0])
			t.Setenv(envOfKey(key), tt.env)
			check(fromEnv, tt.want[1])
			check(fromFlag, tt.want[2], "--"+flagOfKey(key)+"="+tt.flag)
		})
	}
}

// The template says what is so anyway, with and without its # signs.
func TestTheTemplateChangesNothing(t *testing.T) {
	home := t.TempDir()
	before := showConfig(t, home)
	if err := offerConfig(home); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, showConfig(t, home)); diff != "" {
		t.Errorf("the template changed (-before +after):\n%s", diff)
	}
	text := configTemplate()
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), " = "); ok && before[key].Key != "" {
			text = strings.Replace(text, line, key+" = "+value, 1)
			delete(before, key)
		}
	}
	if len(before) > 0 {
		t.Errorf("the template lacks %v", before)
	}
	writeConfig(t, home, text)
	for key, got := range showConfig(t, home) {
		d := defaultSettings()
		if a, b := fmt.Sprint(got.Value), fmt.Sprint(d.value(key)); a != b {
			t.Errorf("%s of the template is %s, the default is %s", key, a, b)
		}
	}
	if err := offerConfig(home); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(home, configFile)); err != nil || string(b) == configTemplate() {
		t.Errorf("the operator's file was written over: %v", err)
	}
}

func TestABadConfigFileIsRefusedWithItsLine(t *testing.T) {
	for name, tt := range map[string]struct{ text, about string }{
		"an unknown key":         {"name = \"thor\"\n\nnmae = \"thor\"\n", `config.toml:3: there is no key "nmae"; did you mean "name"?`},
		"two unknown keys":       {"apiaddr = 1\nlog-level = 2\n", `did you mean "api_addr"?; `},
		"a flag's name":          {"api-addr = \"127.0.0.1:0\"\n", `there is no key "api-addr"; did you mean "api_addr"?`},
		"nothing like it":        {"[xylophone]\nq = 1\n", `there is no key "xylophone"`},
		"a number in quotes":     {"expect = \"4\"\n", "config.toml:1: expect: want a whole number"},
		"a text without quotes":  {"\nname = thor\n", "config.toml:2: this is no valid TOML"},
		"one address, no list":   {"bootstrap = \"/ip4/1.2.3.4/tcp/1\"\n", "bootstrap: want a list"},
		"no profile":             {"profile = \"big\"\n", `profile: want "edge" or "server"`},
		"a key twice":            {"name = \"a-a\"\nname = \"b-b\"\n", "config.toml:2: this is no valid TOML"},
		"a value that cannot be": {"api_addr = \"0.0.0.0:1\"\n", "reachable from other machines"},
		"a level that is none":   {"log_level = \"loud\"\n", `"loud"`},
		"bytes that are no text": {"\xff\xfe", "no valid TOML"},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			writeConfig(t, home, tt.text)
			for _, args := range [][]string{{"config", "show"}, {"up"}} {
				s := command(t.Context(), home, time.Now, "", args...)
				if s.code != exitUsage || !strings.Contains(s.err, tt.about) {
					t.Errorf("%v = %d %q, want %d about %q", args, s.code, s.err, exitUsage, tt.about)
				}
			}
			if left, _ := os.ReadDir(home); len(left) != 1 {
				t.Errorf("it left %v in the home", left)
			}
		})
	}
}

func TestFilesNamedInTheConfigAreRelativeToIt(t *testing.T) {
	home := t.TempDir()
	writeConfig(t, home, `genesis = "g.json"`)
	if got, want := showConfig(t, home)["genesis"].Value, filepath.Join(home, "g.json"); got != want {
		t.Errorf("genesis = %v, want %s", got, want)
	}
}

func TestAVariableThatCannotBeIsBlamed(t *testing.T) {
	t.Setenv("SAGE_EXPECT", "four")
	s := command(t.Context(), t.TempDir(), time.Now, "", "up")
	if s.code != exitUsage || !strings.Contains(s.err, `$SAGE_EXPECT cannot be "four"`) {
		t.Errorf("up = %+v", s)
	}
}

func TestASlipIsAnsweredWithWhatWasMeant(t *testing.T) {
	for args, want := range map[string]string{
		"transfre beta 1": `did you mean "transfer"?`,
		"lock comit x":    `did you mean "commit"?`,
		"task shwo":       `did you mean "show"?`,
	} {
		s := command(t.Context(), t.TempDir(), time.Now, "", strings.Fields(args)...)
		if s.code != exitUsage || !strings.Contains(s.err, want) {
			t.Errorf("%s = %+v, want %q", args, s, want)
		}
	}
}

// With what flags a node was started, nobody but its process knows.
func TestConfigShowSaysWhatItDoesNotSee(t *testing.T) {
	const unseen = "flags that it was started with are not among these"
	if s := command(t.Context(), t.TempDir(), time.Now, "", "config", "show"); s.code != exitDone || strings.Contains(s.out, unseen) {
		t.Errorf("without a node: %+v", s)
	}
	if out := sit(t).ok("config", "show"); !strings.Contains(out, unseen) {
		t.Errorf("beside a node it says\n%s", out)
	}
}
