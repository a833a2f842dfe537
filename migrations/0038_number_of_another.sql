-- Holds a number that another change has; goes when they come together.
alter table {{ database }}.events modify setting {{ window }}
