package node

import (
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sage-p2p/sage-p2p/chain"
	"github.com/sage-p2p/sage-p2p/chain/store"
)

func goodConfig() Config {
	return Config{
		Home: "home", Name: "alpha", Network: "lan", Profile: store.Edge, Listen: defaultListen(0), APIAddr: "127.0.0.1:0",
	}
}

func TestTheDefaultConfigIsValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestEachProblemOfAConfigIsSaid(t *testing.T) {
	id := newActor("peer").ID().String()
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string // "" if it is no problem
	}{
		{"nothing", func(*Config) {}, ""},
		{"bootstrap", func(c *Config) { c.Bootstrap = []string{"/ip4/10.0.0.1/tcp/1/p2p/" + id} }, ""},
		{"founders", func(c *Config) { c.Expect = 4 }, ""},
		{"IPv6 loopback", func(c *Config) { c.APIAddr = "[::1]:0" }, ""},
		{"localhost", func(c *Config) { c.APIAddr = "localhost:0" }, ""},
		{"no home", func(c *Config) { c.Home = "" }, "--home"},
		{"a name in capitals", func(c *Config) { c.Name = "Alpha" }, "name"},
		{"no network", func(c *Config) { c.Network = "" }, "network"},
		{"a network that no genesis can have", func(c *Config) { c.Network = "my lan" }, "network"},
		{"no profile", func(c *Config) { c.Profile = 0 }, "edge or server"},
		{"nowhere to listen", func(c *Config) { c.Listen = nil }, "--listen"},
		{"a listen address of another kind", func(c *Config) { c.Listen = []string{"0.0.0.0:1"} }, `"0.0.0.0:1"`},
		{"a bootstrap address without an ID", func(c *Config) { c.Bootstrap = []string{"/ip4/10.0.0.1/tcp/1"} }, "/p2p/ID"},
		{"an API for everyone", func(c *Config) { c.APIAddr = "0.0.0.0:1" }, "reachable from other machines"},
		{"an API on a name", func(c *Config) { c.APIAddr = "example.org:1" }, "reachable from other machines"},
		{"an API without a port", func(c *Config) { c.APIAddr = "127.0.0.1" }, "API address"},
		{"fewer founders than none", func(c *Config) { c.Expect = -1 }, "expect is -1"},
		{"more founders than there can be", func(c *Config) { c.Expect = 1000 }, "expect is 1000"},
		{"a genesis and founders", func(c *Config) { c.GenesisFile, c.Expect = "g.json", 2 }, "exclude each other"},
		{"a genesis and parameters", func(c *Config) { c.GenesisFile, c.ParamsFile = "g.json", "p.json" }, "exclude each other"},
		{"an observer who founds", func(c *Config) { c.Observer, c.Expect = true, 2 }, "an observer founds nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := goodConfig()
			tt.change(&c)
			err := c.Validate()
			if tt.want == "" {
				if err != nil {
					t.Errorf("Validate: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Validate: %v, want %q in one line", err, tt.want)
			}
		})
	}
}

func TestAllProblemsOfAConfigAreSaidAtOnce(t *testing.T) {
	err := Config{
		Name: "X", Expect: -1, Bootstrap: []string{"?"}, OpenAIURL: "there", OpenAIModels: []string{"a model"}, OpenAIPrice: "much",
	}.Validate()
	for _, want := range []string{"home", "name", "network", "profile", "listen", "bootstrap", "API", "expect", `"there"`, `"a model"`, `"much"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate says nothing of %s: %v", want, err)
		}
	}
}

// A field that nothing reads would be a promise that is not kept.
func TestEveryFieldOfTheConfigIsRead(t *testing.T) {
	var sources strings.Builder
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && name != "config.go" {
			raw, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(raw)
		}
	}
	for i := range reflect.TypeFor[Config]().NumField() {
		field := reflect.TypeFor[Config]().Field(i).Name
		method := map[string]string{
			"Listen": "cfg.listen()", "Relay": "cfg.whole()", "OpenAIURL": "cfg.Upstream()", "OpenAIModels": "cfg.Upstream()", "OpenAIKeyFile": "cfg.Upstream()",
		}[field]
		if !strings.Contains(sources.String(), "cfg."+field) && (method == "" || !strings.Contains(sources.String(), method)) {
			t.Errorf("nothing reads Config.%s", field)
		}
	}
}

func TestADefaultPortThatIsTakenIsReplaced(t *testing.T) {
	// Whoever has the default port, this test or another process, it is taken.
	if l, err := net.Listen("tcp", "0.0.0.0:"+strconv.Itoa(defaultPort)); err == nil {
		defer l.Close()
	}
	c := goodConfig()
	c.Listen = defaultListen(defaultPort)
	addrs, replaced, err := c.listen()
	if err != nil || !replaced || len(addrs) != 2 {
		t.Fatalf("listen = %v, %v, %v, want other ports", addrs, replaced, err)
	}
	for _, a := range addrs {
		if strings.Contains(a.String(), strconv.Itoa(defaultPort)) {
			t.Errorf("it would listen on %s", a)
		}
	}
	c.Listen = []string{"/ip4/127.0.0.1/tcp/" + strconv.Itoa(defaultPort)}
	if addrs, replaced, err := c.listen(); err != nil || replaced || addrs[0].String() != c.Listen[0] {
		t.Errorf("an address that the operator chose became %v, %v, %v", addrs, replaced, err)
	}
}

func TestAPortIsTakenByEitherTransport(t *testing.T) {
	tcp, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if !portTaken(tcp.Addr().(*net.TCPAddr).Port) {
		t.Error("a TCP port in use counts as free")
	}
	if err := tcp.Close(); err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if !portTaken(udp.LocalAddr().(*net.UDPAddr).Port) {
		t.Error("a UDP port in use counts as free")
	}
}

func TestAFaultIsNamedOnce(t *testing.T) {
	c := goodConfig()
	c.Name = "X"
	if got, want := fmt.Sprint(c.Validate()), `node: config: name: have "X", want 3 to 32 of a-z 0-9 -`; got != want {
		t.Errorf("it says %s, want %s", got, want)
	}
	_, err := chain.ParseGenesis([]byte("{}"))
	if got := GenesisFault(err); !strings.HasPrefix(got, "version: have 0, want 1 (and ") || strings.Contains(got, "genesis") {
		t.Errorf("it says %s", got)
	}
}

func TestTheOperatorHearsWhichDefaultPortsWereTaken(t *testing.T) {
	for _, tt := range []struct {
		name  string
		moved bool
		api   string // as configured
		url   string // where it is
		want  []string
	}{
		{"neither", false, "127.0.0.1:7423", "http://127.0.0.1:7423", nil},
		{"both", true, "127.0.0.1:7423", "http://127.0.0.1:40001", []string{"port 7422", "the API's port 7423"}},
		{"the API anywhere", false, "127.0.0.1:0", "http://127.0.0.1:40001", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &Node{cfg: DefaultConfig(), moved: tt.moved}
			n.cfg.APIAddr = tt.api
			if got := n.movedPorts(tt.url); !slices.Equal(got, tt.want) {
				t.Errorf("moved = %q, want %q", got, tt.want)
			}
		})
	}
}
