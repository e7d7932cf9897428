"""What a field team carries: its sites, in files that phones, spreadsheets and printers take."""
