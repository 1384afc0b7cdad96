package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestWriteChart(t *testing.T) {
	rows := []Row{
		{Kind: KindKernel, Name: "a<b", Threads: 1, Versions: 16, MHS: 50},
		{Kind: KindKernel, Name: "a<b", Threads: 1, Versions: 1, MHS: 40},
		{Kind: KindKernel, Name: "a<b", Threads: 2, Versions: 16, MHS: 99},
		{Kind: KindRival, Name: "minerd", Threads: 1, MHS: 100},
		{Kind: KindDevice, Name: "H200", Versions: 2, MHS: 25},
		{Kind: KindDevice, Name: "H200", Versions: 1, MHS: 20},
		{Kind: KindLive, Name: "a<b", Threads: 1, MHS: 49},
	}
	var out bytes.Buffer
	if err := WriteChart(&out, "MH/s & more", rows); err != nil {
		t.Fatal(err)
	}
	var widths, texts []string
	for d := xml.NewDecoder(bytes.NewReader(out.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, out.String())
		}
		switch token := token.(type) {
		case xml.StartElement:
			for _, a := range token.Attr {
				if token.Name.Local == "rect" && a.Name.Local == "width" {
					widths = append(widths, a.Value)
				}
			}
		case xml.CharData:
			if s := strings.TrimSpace(string(token)); s != "" {
				texts = append(texts, s)
			}
		}
	}
	if got, want := strings.Join(texts, "|"), "MH/s & more|MH/s & more|minerd (another miner)|100.0 MH/s|a<b, 16 versions|50.0 MH/s|H200, 2 version(s)|25.0 MH/s"; got != want {
		t.Errorf("texts %q, want %q", got, want)
	}
	if got, want := strings.Join(widths, " "), "760 420.0 210.0 105.0"; got != want {
		t.Errorf("widths %q, want %q: the background, and bars as the rates", got, want)
	}

	out.Reset()
	if err := WriteChart(&out, "nothing", rows[2:3]); err != nil || out.Len() > 0 {
		t.Errorf("no rate of one thread: wrote %d bytes, error %v", out.Len(), err)
	}
}

func TestTotalRate(t *testing.T) {
	for line, want := range map[string]float64{
		"[2026-01-01 10:00:00] Total: 7270.34 kH/s, Temp: 0C": 7270340,
		"\x1b[01;37m Total: 41.5 MH/s, Temp: 0C":              41.5e6,
		"[2026-01-01 10:00:00] Total: 1829 khash/s":           1829e3,
		"Total: 12 H/s":                          12,
		"thread 0: 2097152 hashes, 2292 khash/s": -1,
		"Total: many kH/s":                       -1,
	} {
		got, ok := totalRate(line)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("totalRate(%q) = %v, want %v", line, got, want)
		}
	}
}
