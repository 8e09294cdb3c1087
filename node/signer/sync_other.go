//go:build !linux

package signer

import "os"

// diskFile is a File as the operating system has it.
type diskFile struct{ *os.File }
