// Command checker judges a text by its length: it is worth the share of the
// input's bytes that the output has. It shows how a checker is written.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

func main() {
	input, err := part(os.Stdin)
	if err != nil {
		fail(err)
	}
	output, err := part(os.Stdin)
	if err != nil {
		fail(err)
	}
	switch string(output) {
	case "fail":
		fail(fmt.Errorf("asked to"))
	case "words":
		fmt.Print("very good")
		return
	}
	fmt.Println(min(1_000_000, len(output)*1_000_000/max(1, len(input))))
}

// part reads what stands behind its length in eight bytes.
func part(r io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	data := make([]byte, binary.BigEndian.Uint64(head[:]))
	_, err := io.ReadFull(r, data)
	return data, err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "checker:", err)
	os.Exit(1)
}
