package main

import (
	"fmt"
	"strings"
	"time"
)

// showWork runs work and shows what describe says of it until it ends: a line that
// stays at the bottom of a terminal, a log line now and then anywhere else.
func (s *shell) showWork(describe func(elapsed time.Duration) string, work func() error) error {
	begin, ended := time.Now(), make(chan error, 1)
	go func() { ended <- work() }()
	line, onTerminal := s.err.(*statusLine)
	every := firstReport
	if onTerminal {
		every = statusEvery
		defer line.Clear()
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case now := <-timer.C:
			if text := describe(now.Sub(begin)); onTerminal {
				line.Show(text)
				timer.Reset(statusEvery)
			} else {
				s.log.Info(text)
				timer.Reset(reportEvery)
			}
		}
	}
}

// barWidth is how many characters of a line the bar takes between its ends.
const barWidth = 20

// bar draws how much of a total is done, and how long the rest takes at the rate so
// far. It is empty where the total is not known.
func bar(done, total int64, elapsed time.Duration) string {
	if total <= 0 {
		return ""
	}
	part := min(1, float64(done)/float64(total))
	full := int(part * barWidth)
	text := fmt.Sprintf("[%s%s] %5.1f %%", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*part)
	if part > 0 && part < 1 && elapsed > 0 {
		left := time.Duration(float64(elapsed) * (1 - part) / part)
		text += fmt.Sprintf("  %v left", left.Round(time.Second))
	}
	return text
}

// perSecond is a rate of things for people.
func perSecond(n int64, elapsed time.Duration) string {
	return fmt.Sprintf("%.0f/s", float64(n)/max(elapsed.Seconds(), 1e-3))
}
