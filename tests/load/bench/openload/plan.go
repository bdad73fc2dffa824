package main

import (
	"fmt"
	"os"
	"strings"
)

// readPlan reads one request per line: method, path, token, If-None-Match and body, separated by tabs.
func readPlan(file, host string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var requests [][]byte
	for _, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		fields := strings.SplitN(line, "\t", 5)
		if len(fields) != 5 {
			return nil, fmt.Errorf("not a request of a plan: %q", line)
		}
		requests = append(requests, message(host, fields[0], fields[1], fields[2], fields[3], fields[4]))
	}
	return requests, nil
}

func message(host, method, path, token, tag, body string) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", method, path, host, token)
	if tag != "" {
		fmt.Fprintf(&text, "If-None-Match: %s\r\n", tag)
	}
	if body != "" {
		fmt.Fprintf(&text, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	text.WriteString("\r\n" + body)
	return []byte(text.String())
}
