//go:build !linux

package exec

import (
	"errors"
	"syscall"
)

const thisProgram = ""

// errNotLinux explains why programs are not run here: without Linux's means
// this package could not promise E4 and E5.
var errNotLinux = errors.New("programs can be confined on Linux only")

func confineThread() error               { return errNotLinux }
func confineProcess() error              { return errNotLinux }
func confineMemory(uint64) error         { return errNotLinux }
func killGroup(int) error                { return errNotLinux }
func confinedAttr() *syscall.SysProcAttr { return nil }
