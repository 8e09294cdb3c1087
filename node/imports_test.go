package node_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sage-p2p/sage-p2p/"

// layer says what one package may import of this module. An allowed import
// brings its own allowed imports with it.
type layer struct {
	allowed []string
	pure    bool // decides without clock, goroutine, randomness, network or disk
}

// diagram is the dependency diagram of the README, as a table. A package that
// is not in it is an error: a new package is a decision, made here.
var diagram = map[string]layer{
	"atp":           {pure: true},
	"task":          {pure: true, allowed: []string{"atp"}},
	"bft":           {pure: true},
	"bft/fieldtest": {pure: true}, // fields changed one at a time, for tests
	"chain":         {pure: true, allowed: []string{"atp", "task", "bft"}},
	"chain/mempool": {pure: true, allowed: []string{"chain", "atp"}},
	"node/replica":  {pure: true, allowed: []string{"bft", "chain", "chain/mempool"}},

	"chain/store":           {allowed: []string{"chain", "bft"}},
	"chain/store/storetest": {allowed: []string{"chain/store"}},
	"p2p":                   {},
	"p2p/lantest":           {}, // LANs of network namespaces, for tests
	"task/exec":             {allowed: []string{"task"}},
	"task/exec/programs":    {allowed: []string{"task/exec"}},
	"node/signer":           {allowed: []string{"bft"}},
	// The simulator runs the real signer on a simulated disk, and what adversaries
	// send is decoded and verified as a node does it.
	"node/sim": {allowed: []string{"node/replica", "node/signer", "node/wire"}},

	"node/wire": {allowed: []string{"chain"}},

	"node/api/view":    {allowed: []string{"atp"}},
	"node/api/apitest": {allowed: []string{"node/api"}}, // a node in memory, for tests
	"node/api/client":  {allowed: []string{"node/api/view"}},
	"node/api":         {allowed: []string{"node/api/view"}},
	"node": {allowed: []string{
		"node/api", "node/wire", "node/replica", "node/signer", "chain/store", "chain/mempool", "p2p", "task/exec", "task/exec/programs",
	}},
	// The command runs the simulator for whoever asks; no node does.
	"cmd/sage-p2p":   {allowed: []string{"node", "node/api/client", "node/sim"}},
	"cmd/sage-bench": {allowed: []string{"node", "node/api/client"}},
}

// impure are the standard packages that a pure package must not import itself.
// Only chain/ipld.go needs context, to hand context.Background to the HAMT.
var impure = []string{"time", "math/rand", "crypto/rand", "net", "os", "sync", "log/slog", "context"}

// sockets are the modules that no pure package may reach, however indirectly.
var sockets = []string{
	"github.com/libp2p/go-libp2p/p2p/",
	"github.com/libp2p/go-libp2p-pubsub",
	"github.com/dgraph-io/badger",
	"github.com/ipfs/go-ds-badger4",
}

type listed struct {
	ImportPath string
	Name       string
	Dir        string
	Imports    []string
	Deps       []string
}

// TestImports keeps the dependency diagram of the README true: it reads what
// each package imports from the code and compares it with the table above.
func TestImports(t *testing.T) {
	for _, pkg := range listPackages(t) {
		name, ours := strings.CutPrefix(pkg.ImportPath, module)
		if !ours || isProgram(name) {
			continue
		}
		l, known := diagram[name]
		if !known {
			t.Errorf("package %s is not in the dependency diagram: add it there, with what it may import", name)
			continue
		}
		checkLayer(t, name, l, pkg)
	}
}

// isProgram reports a main package that is no part of the node: code
// generators and the example programs that tasks run.
func isProgram(name string) bool {
	return strings.HasSuffix(name, "/gen") || strings.HasPrefix(name, "task/exec/programs/") || strings.Contains(name, "/testdata/")
}

func checkLayer(t *testing.T, name string, l layer, pkg listed) {
	t.Helper()
	may := closure(l.allowed)
	for _, dep := range pkg.Imports {
		if own, ours := strings.CutPrefix(dep, module); ours && !slices.Contains(may, own) {
			t.Errorf("%s imports %s; it may import only %v", name, own, may)
		}
		if l.pure && isImpure(dep) && !(name == "chain" && dep == "context") {
			t.Errorf("%s is pure and must not import %s", name, dep)
		}
	}
	if !l.pure {
		return
	}
	for _, dep := range pkg.Deps {
		for _, s := range sockets {
			if strings.HasPrefix(dep, s) {
				t.Errorf("%s is pure and must not reach %s, not even through a dependency", name, dep)
			}
		}
	}
}

func isImpure(dep string) bool {
	for _, p := range impure {
		if dep == p || strings.HasPrefix(dep, p+"/") {
			return true
		}
	}
	return false
}

// closure returns the allowed imports and what these allow in turn, sorted.
func closure(allowed []string) []string {
	var all []string
	for queue := slices.Clone(allowed); len(queue) > 0; queue = queue[1:] {
		if slices.Contains(all, queue[0]) {
			continue
		}
		all = append(all, queue[0])
		queue = append(queue, diagram[queue[0]].allowed...)
	}
	slices.Sort(all)
	return all
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,Imports,Deps", module+"...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var pkgs []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < len(diagram) {
		t.Errorf("go list found %d packages, the diagram has %d: remove those that are gone", len(pkgs), len(diagram))
	}
	return pkgs
}

// TestNothingButTheSimulatorForgesSignatures keeps the scheme whose signatures
// anyone can make out of every node: `sage-p2p sim` has the simulator, and
// nothing else can name the scheme.
func TestNothingButTheSimulatorForgesSignatures(t *testing.T) {
	named := 0
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(source), "InsecureSimulation") {
			return err
		}
		switch dir := filepath.ToSlash(filepath.Dir(path)); dir {
		case "../bft", "../node/sim":
			named++
		default:
			t.Errorf("%s names bft.InsecureSimulation, whose signatures anyone can make", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if named == 0 {
		t.Error("nobody names bft.InsecureSimulation any more: this test guards nothing")
	}
}
