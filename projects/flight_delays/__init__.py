"""How late will this flight arrive? One model per airline, asked when the plane leaves the gate."""
