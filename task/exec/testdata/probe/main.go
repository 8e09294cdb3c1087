// Command probe does what the first line of its input says, to see what a
// program can and cannot do in the wasm runtime.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

func main() {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadString('\n')
	if err != nil && err != io.EOF {
		panic(err)
	}
	command, argument, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	do, known := map[string]func(*bufio.Reader, string){
		"echo": echo, "exit": exit, "panic": stop, "loop": loop, "hog": hog, "flood": flood, "logs": logs,
		"world": world, "clock": clock, "sleep": sleep, "random": random, "nan": nan, "map": order,
	}[command]
	if !known {
		panic("unknown command " + command)
	}
	do(in, argument)
}

func echo(in *bufio.Reader, _ string) { io.Copy(os.Stdout, in) }

func exit(_ *bufio.Reader, code string) {
	n, err := strconv.Atoi(code)
	if err != nil {
		panic(err)
	}
	fmt.Println("this is not the result")
	os.Exit(n)
}

func stop(*bufio.Reader, string) { panic("as asked") }

func loop(*bufio.Reader, string) {
	fmt.Fprintln(os.Stderr, "into the loop")
	for {
	}
}

// hog takes memory and uses it until there is no more.
func hog(*bufio.Reader, string) {
	var all [][]byte
	for {
		all = append(all, bytes.Repeat([]byte{1}, 1<<20))
	}
}

// flood writes for ever and looks at no error.
func flood(*bufio.Reader, string) {
	piece := bytes.Repeat([]byte{'x'}, 1<<16)
	for {
		os.Stdout.Write(piece)
	}
}

// logs writes more to standard error than is kept.
func logs(*bufio.Reader, string) {
	for i := range 100_000 {
		if n, err := fmt.Fprintf(os.Stderr, "%9d\n", i); n != 10 || err != nil {
			panic(err)
		}
	}
	fmt.Println("done")
}

// world tries every way out, and says which were refused.
func world(*bufio.Reader, string) {
	try := func(what string, err error) {
		if err != nil {
			fmt.Println(what, "refused")
		} else {
			fmt.Println(what, "DONE")
		}
	}
	fmt.Println("arguments", os.Args)
	fmt.Println("environment", os.Environ())
	for _, path := range []string{".", "/", "/etc/passwd", "/proc/self/environ", "secret"} {
		_, err := os.ReadFile(path)
		try("read "+path, err)
		_, err = os.ReadDir(path)
		try("list "+path, err)
		try("write "+path, os.WriteFile(path, []byte("x"), 0o600))
		try("remove "+path, os.Remove(path))
	}
	for fd := uintptr(3); fd < 16; fd++ {
		_, err := os.NewFile(fd, "leak").Write([]byte("x"))
		try(fmt.Sprint("descriptor ", fd), err)
	}
	_, err := net.Dial("tcp", "127.0.0.1:80")
	try("dial", err)
	_, err = exec.Command("/bin/sh", "-c", ":").Output()
	try("process", err)
	_, err = os.StartProcess("/proc/self/exe", nil, &os.ProcAttr{})
	try("fork", err)
}

// clock shows the wall clock, and how far both clocks are from one time to the next.
func clock(*bufio.Reader, string) {
	a, b := time.Now(), time.Now()
	fmt.Println(a.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano), b.UnixNano()-a.UnixNano(), b.Sub(a))
}

func sleep(_ *bufio.Reader, length string) {
	d, err := time.ParseDuration(length)
	if err != nil {
		panic(err)
	}
	a := time.Now()
	time.Sleep(d)
	fmt.Println(time.Since(a).Round(time.Millisecond))
}

// random draws so much that the stream needs a second chunk.
func random(*bufio.Reader, string) {
	b := make([]byte, 10_000)
	rand.Read(b)
	os.Stdout.Write(b)
}

var zero float64 // so that the compiler cannot divide by it

// nan makes NaNs of both signs and shows their bits.
func nan(*bufio.Reader, string) {
	quotient := zero / zero
	product := zero * math.Inf(1)
	odd := math.Float64frombits(0xfff8_0000_dead_beef)
	for _, f := range []float64{quotient, -quotient, product, -product, odd, math.NaN()} {
		stored := []float64{f}
		fmt.Printf("%x %x %x %v\n", math.Float64bits(f), math.Float32bits(float32(f)),
			math.Float64bits(math.Copysign(1, f)), stored[0] != stored[0])
	}
	fmt.Println(math.Copysign(3, -2), math.Float64bits(-1.5), math.Float32bits(1.25), math.Sqrt(2))
}

// order shows the order of a map, which Go draws at random.
func order(*bufio.Reader, string) {
	m := make(map[int]bool)
	for i := range 1000 {
		m[i] = true
	}
	for i := range m {
		fmt.Print(i, " ")
	}
}
