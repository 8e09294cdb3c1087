package exec

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// thisProgram is the one that runs, even if its file was replaced since.
const thisProgram = "/proc/self/exe"

const (
	niceness  = 10 // a program yields to the node, which has deadlines to keep
	openFiles = 64 // of a child: its pipes, the cache, the Go runtime's own
)

// confineThread gives up, for the calling thread and the children that it
// starts, what a program must not have: gaining privileges by executing
// something, and the node's priority. It cannot be undone.
func confineThread() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, niceness); err != nil {
		return fmt.Errorf("priority: %w", err)
	}
	return nil
}

// confinedAttr makes a child lead a group of its own, to be killed as one, and
// die with the thread that started it.
func confinedAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killGroup kills a child that was not waited for yet, and all it started.
func killGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGKILL) }

// confineProcess does to a child what does not depend on its job: limits, and
// closing what the node itself inherited from whoever started it.
func confineProcess() error {
	if err := closeInherited(); err != nil {
		return fmt.Errorf("%w: open files: %w", ErrHost, err)
	}
	for resource, most := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: openFiles} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("%w: resource limit %d: %w", ErrHost, resource, err)
		}
	}
	return nil
}

// closeInherited closes all files but the standard ones that this process did
// not open itself. Those of the Go runtime close on exec, an inherited one
// cannot: it would not be here.
func closeInherited() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range open {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd <= 2 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
	return nil
}

// confineMemory bounds a child's address space to what it has now, the
// program's memory, and addressSpace for everything else.
func confineMemory(programMemory uint64) error {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return fmt.Errorf("%w: address space: %w", ErrHost, err)
	}
	first, _, _ := bytes.Cut(statm, []byte(" "))
	pages, err := strconv.ParseUint(string(first), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: address space: %w", ErrHost, err)
	}
	most := pages*uint64(os.Getpagesize()) + programMemory + addressSpace
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("%w: address space: %w", ErrHost, err)
	}
	return nil
}
