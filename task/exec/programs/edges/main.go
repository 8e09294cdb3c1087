// Command edges finds the edges in a picture: PNG in, PNG out. The result is
// grey, of the same size, black where the picture is even and the brighter the
// more it changes: the Sobel operator on its luminance.
package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
)

// maxPixels is the largest picture that is taken, 16 megapixels.
const maxPixels = 16 << 20

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "edges:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	config, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if int64(config.Width)*int64(config.Height) > maxPixels {
		return fmt.Errorf("the picture has %d × %d pixels, want at most %d in all", config.Width, config.Height, maxPixels)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return png.Encode(out, sobel(luminance(picture)))
}

// luminance returns a grey copy whose bounds begin at (0, 0).
func luminance(picture image.Image) *image.Gray {
	b := picture.Bounds()
	grey := image.NewGray(image.Rect(0, 0, b.Dx(), b.Dy()))
	for y := range b.Dy() {
		for x := range b.Dx() {
			grey.Set(x, y, color.GrayModel.Convert(picture.At(b.Min.X+x, b.Min.Y+y)))
		}
	}
	return grey
}

// sobel returns |∂x| + |∂y| of each pixel, at most 255. Beyond the border the
// picture goes on as it ends.
func sobel(grey *image.Gray) *image.Gray {
	b := grey.Bounds()
	at := func(x, y int) int {
		x = min(max(x, 0), b.Dx()-1)
		y = min(max(y, 0), b.Dy()-1)
		return int(grey.Pix[y*grey.Stride+x])
	}
	edges := image.NewGray(b)
	for y := range b.Dy() {
		for x := range b.Dx() {
			dx := at(x+1, y-1) + 2*at(x+1, y) + at(x+1, y+1) - at(x-1, y-1) - 2*at(x-1, y) - at(x-1, y+1)
			dy := at(x-1, y+1) + 2*at(x, y+1) + at(x+1, y+1) - at(x-1, y-1) - 2*at(x, y-1) - at(x+1, y-1)
			edges.Pix[y*edges.Stride+x] = uint8(min(max(dx, -dx)+max(dy, -dy), 255))
		}
	}
	return edges
}
