package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sage-p2p/sage-p2p/node"
)

// clockTick is the unit of the times in /proc/PID/stat. The kernel shows them
// in hundredths of a second on every architecture that Go runs on.
const clockTick = 10 * time.Millisecond

// usage is what a process has used since it began.
type usage struct {
	cpu   time.Duration
	rss   uint64 // bytes, now
	read  uint64 // bytes by read calls: sockets and files, but not QUIC's
	wrote uint64
	calls uint64 // read and write calls
	node  node.Counters
}

// usageOf reads /proc.
func usageOf(pid int) (usage, error) {
	var u usage
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return u, err
	}
	if u.cpu, err = cpuOf(stat); err != nil {
		return u, err
	}
	status, err := fieldsOf(dir + "/status")
	if err != nil {
		return u, err
	}
	io, err := fieldsOf(dir + "/io")
	if err != nil {
		return u, err
	}
	u.rss = status["VmRSS"] << 10
	u.read, u.wrote, u.calls = io["rchar"], io["wchar"], io["syscr"]+io["syscw"]
	return u, nil
}

// cpuOf returns the user and system time in the content of /proc/PID/stat. The
// name of the program, in brackets, may hold anything.
func cpuOf(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	const user, system = 11, 12 // fields 14 and 15, the first two being gone
	if end < 0 || len(fields) <= system {
		return 0, fmt.Errorf("/proc/PID/stat: have %.80q", stat)
	}
	u, err := strconv.ParseUint(fields[user], 10, 64)
	if err != nil {
		return 0, err
	}
	s, err := strconv.ParseUint(fields[system], 10, 64)
	return time.Duration(u+s) * clockTick, err
}

// fieldsOf reads a file of lines "name: number …"; other lines are left out.
func fieldsOf(path string) (map[string]uint64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]uint64)
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil {
			fields[name] = n
		}
	}
	return fields, nil
}

// usages returns what each of some validators has used.
func usages(list []*validator) (map[*validator]usage, error) {
	all := make(map[*validator]usage)
	for _, v := range list {
		u, err := usageOf(v.pid())
		if err != nil {
			return nil, err
		}
		if u.node, err = v.counters(); err != nil {
			return nil, err
		}
		all[v] = u
	}
	return all, nil
}

// Machine says where numbers come from.
type Machine struct {
	When       time.Time  `json:"when"`
	Processor  string     `json:"processor"`
	Cores      int        `json:"cores"`
	Go         string     `json:"go"`
	LoadBefore [3]float64 `json:"load_before"` // averages over 1, 5 and 15 minutes
	LoadAfter  [3]float64 `json:"load_after"`
}

func describeMachine() Machine {
	return Machine{
		When: time.Now().UTC().Truncate(time.Second), Processor: processor(), Cores: runtime.NumCPU(),
		Go: runtime.Version(), LoadBefore: loadAverage(),
	}
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer func() { _ = f.Close() }() // it was only read
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// loadAverage is zero where it cannot be read.
func loadAverage() (avg [3]float64) {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return avg
	}
	for i, text := range strings.Fields(string(raw)) {
		if i == len(avg) {
			break
		}
		if avg[i], err = strconv.ParseFloat(text, 64); err != nil {
			return [3]float64{}
		}
	}
	return avg
}
