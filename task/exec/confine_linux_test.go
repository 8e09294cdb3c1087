package exec_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sage-p2p/sage-p2p/task/exec"
)

// children returns the processes whose parent is this one, zombies included.
func children(t *testing.T, parent int) (pids []int) {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil || len(lists) == 0 {
		t.Fatalf("children of %d: %v", parent, err)
	}
	for _, list := range lists {
		fields, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for _, field := range strings.Fields(string(fields)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// awaitChild waits until this process has a child that runs a program, and
// returns it. That it runs is seen by the limit it has set itself.
func awaitChild(t *testing.T) int {
	t.Helper()
	for t.Context().Err() == nil {
		for _, pid := range children(t, os.Getpid()) {
			if limits, _ := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid)); limitOf(limits, "Max address space") != "unlimited" {
				return pid
			}
		}
	}
	t.Fatal("no child came")
	return 0
}

func limitOf(limits []byte, name string) string {
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.Fields(rest)[0]
		}
	}
	return "unlimited"
}

// loop starts a program that does not end before ctx does, and returns its
// process and where the error of the run will come.
func loop(t *testing.T, ctx context.Context) (child int, done <-chan error) {
	t.Helper()
	ended := make(chan error, 1)
	rt, j := newRuntime(t), job(t, program(t, "probe"), "loop")
	go func() {
		_, err := rt.Run(ctx, j)
		ended <- err
	}()
	return awaitChild(t), ended
}

// E4, seen from outside: what the kernel holds a child to.
func TestChildIsConfined(t *testing.T) {
	t.Setenv("SAGE_SECRET", "of the node")
	inherited, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0) // stays open on exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	withCoreFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	pid, done := loop(t, ctx)
	defer func() { cancel(); <-done }()
	proc := func(file string) string {
		contents, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			t.Fatal(err)
		}
		return string(contents)
	}
	if env := proc("environ"); env != "" {
		t.Errorf("environment = %q, want none", env)
	}
	if !strings.Contains(proc("status"), "NoNewPrivs:\t1") {
		t.Error("no_new_privs is not set")
	}
	limits := []byte(proc("limits"))
	for name, want := range map[string]string{"Max core file size": "0", "Max open files": "64"} {
		if got := limitOf(limits, name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	// Fields after the name in stat: state, parent, group, … priority, nice.
	_, stat, _ := strings.Cut(proc("stat"), ") ")
	fields := strings.Fields(stat)
	if group, nice := fields[2], fields[16]; group != strconv.Itoa(pid) || nice != "10" {
		t.Errorf("group %s with niceness %s, want %d with 10", group, nice, pid)
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	if err != nil || !strings.HasSuffix(cwd, " (deleted)") {
		t.Errorf("working directory = %q (%v), want a deleted one", cwd, err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		ours := strings.HasPrefix(target, "pipe:")
		ofGo := strings.HasPrefix(target, "anon_inode:") || strings.HasPrefix(target, "/sys/fs/cgroup/")
		if !ours && !ofGo {
			t.Errorf("descriptor %s is %s, want pipes and the Go runtime's own only", fd.Name(), target)
		}
	}
}

// withCoreFiles lets this process write core files, as far as it may.
func withCoreFiles(t *testing.T) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: before.Max, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_CORE, &before) })
}

func TestChildKilledFromOutsideIsThisMachinesFailure(t *testing.T) {
	pid, done := loop(t, t.Context())
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, exec.ErrHost) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("err = %v, want %v by being killed", err, exec.ErrHost)
	}
	nothingIsLeft(t)
}

// The node's own threads keep what the child's gave up: that thread ends, a
// moment after Run returns, and no other is made from it.
func TestNodeKeepsItsPrivileges(t *testing.T) {
	run(t, job(t, exec.Program(), ""))
	for deadline := time.Now().Add(20 * time.Second); ; {
		confined := confinedThreads(t)
		if len(confined) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("threads %v are confined for ever", confined)
		}
	}
}

// confinedThreads returns the threads of this process that have given up
// privileges, but for the first one: Go parks that for good where it ends others.
func confinedThreads(t *testing.T) (ids []string) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		status, err := os.ReadFile(filepath.Join("/proc/self/task", thread.Name(), "status"))
		if err == nil && strings.Contains(string(status), "NoNewPrivs:\t1") && thread.Name() != strconv.Itoa(os.Getpid()) {
			ids = append(ids, thread.Name())
		}
	}
	return ids
}

// asParent in the environment makes the test binary a node that runs a
// program without end, for TestChildDiesWithItsParent.
const asParent = "SAGE_EXEC_TEST_PARENT"

// runForEver is what the parent of that test does.
func runForEver() error {
	rt, err := newWASM(filepath.Join(shared.dir, "wasm"))
	if err != nil {
		return err
	}
	silent := exec.Program(0x03, 0x40, 0x0c, 0, 0x0b) // loop br 0 end: it never finds its pipe broken
	_, err = rt.Run(context.Background(), exec.Job{
		Task: taskID("a task"), Program: silent, MemoryPages: 1, OutputLimit: 1, TimeLimit: time.Hour,
	})
	return err
}

func TestChildDiesWithItsParent(t *testing.T) {
	run(t, job(t, exec.Program(), "")) // so that all is built
	parent := osexec.CommandContext(t.Context(), "/proc/self/exe")
	parent.Env = append(os.Environ(), asParent+"="+shared.dir)
	parent.Stderr = os.Stderr
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	for child == 0 && t.Context().Err() == nil {
		for _, pid := range children(t, parent.Process.Pid) {
			if limits, _ := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid)); limitOf(limits, "Max address space") != "unlimited" {
				child = pid
			}
		}
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	parent.Wait()
	for t.Context().Err() == nil {
		if !alive(child) {
			return
		}
	}
	t.Errorf("child %d outlives its parent", child)
}

// alive reports whether a process exists and is not just waiting to be reaped.
func alive(pid int) bool {
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if state, ok := strings.CutPrefix(lines.Text(), "State:\t"); ok {
			return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
		}
	}
	return false
}
