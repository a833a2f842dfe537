"""Messages of Segment, RudderStack, Snowplow and GA4 as events. Pure."""
