package exec

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"

	"github.com/sage-p2p/sage-p2p/atp"
)

// wasiModule is the only module that a program may import from.
const wasiModule = "wasi_snapshot_preview1"

// wasiFunctions are the functions of WASI preview 1. A program may import all
// of them, since standard libraries do; those on files and sockets answer that
// there are none.
var wasiFunctions = []string{
	"args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get", "environ_sizes_get",
	"fd_advise", "fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_get", "fd_fdstat_set_flags",
	"fd_fdstat_set_rights", "fd_filestat_get", "fd_filestat_set_size", "fd_filestat_set_times", "fd_pread",
	"fd_prestat_dir_name", "fd_prestat_get", "fd_pwrite", "fd_read", "fd_readdir", "fd_renumber", "fd_seek",
	"fd_sync", "fd_tell", "fd_write", "path_create_directory", "path_filestat_get",
	"path_filestat_set_times", "path_link", "path_open", "path_readlink", "path_remove_directory",
	"path_rename", "path_symlink", "path_unlink_file", "poll_oneoff", "proc_exit", "proc_raise",
	"random_get", "sched_yield", "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
}

// tick is what each reading adds to both clocks, in nanoseconds. A clock that
// stands still would stop programs that wait for it, Go's among them.
const tick = 1000

// A clock is the time that a program sees. It moves by being read and by
// sleeping, so that the same program always sees the same times. Sums beyond
// 64 bits wrap, alike everywhere.
type clock struct {
	accepted atp.Millis // where the wall clock starts; the monotonic one starts at 1 s
	elapsed  uint64     // nanoseconds since then
}

// read returns the nanoseconds since the start, before this reading.
func (c *clock) read() uint64 {
	now := c.elapsed
	c.elapsed += tick
	return now
}

// wall is the time since the Unix epoch.
func (c *clock) wall() (sec int64, nsec int32) {
	ns := uint64(c.accepted%1000)*1e6 + c.read()
	return int64(uint64(c.accepted/1000) + ns/1e9), int32(ns % 1e9)
}

// monotonic is in nanoseconds.
func (c *clock) monotonic() int64 { return int64(1e9 + c.read()) }

// sleep returns at once.
func (c *clock) sleep(ns int64) { c.elapsed += uint64(ns) }

// randomness is the endless stream of random bytes that a program draws from:
// chunks of the most that HKDF gives, numbered from 0,
//
//	HKDF-SHA256(secret: task ID, salt: none, info: "sage/wasm-random/1" ‖ chunk u64be), 255·32 bytes
type randomness struct {
	task  cid.Cid
	chunk uint64 // the next one
	left  []byte // of the one before
}

// Read implements io.Reader. It always fills p.
func (r *randomness) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		if len(r.left) == 0 {
			info := binary.BigEndian.AppendUint64([]byte("sage/wasm-random/1"), r.chunk)
			chunk, err := hkdf.Key(sha256.New, r.task.Bytes(), nil, string(info), 255*sha256.Size)
			if err != nil {
				return n, fmt.Errorf("exec: randomness: %w", err)
			}
			r.left, r.chunk = chunk, r.chunk+1
		}
		copied := copy(p[n:], r.left)
		n, r.left = n+copied, r.left[copied:]
	}
	return len(p), nil
}

// errOutputFull ends a program that writes more than its job allows.
var errOutputFull = errors.New("standard output is over its limit")

// output collects what a program writes to standard output.
type output struct {
	written []byte
	limit   int
}

// Write implements io.Writer. What goes beyond the limit is a trap: a program
// could otherwise overlook the error, and half an output look like a whole
// one. wazero makes a trap of a host function's panic.
func (o *output) Write(p []byte) (int, error) {
	if len(p) > o.limit-len(o.written) {
		panic(errOutputFull)
	}
	o.written = append(o.written, p...)
	return len(p), nil
}
